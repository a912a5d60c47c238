import { expect, test } from "vitest";

import {
  clientsPerProcess,
  idealCyclesPerSecond,
  parseFleet,
} from "../../../../bench/fleet/fleet.js";
import { parseFleetOptions } from "../../../../bench/fleet/fleet-options.js";

test.each([
  ["32x0", { clients: 32, holdMs: 0, limit: 2, processes: 1 }],
  ["300x20x10", { clients: 300, holdMs: 20, limit: 10, processes: 1 }],
  ["50x0/25", { clients: 50, holdMs: 0, limit: 2, processes: 25 }],
  ["50x20x3/25", { clients: 50, holdMs: 20, limit: 3, processes: 25 }],
])("the fleet %s is %j", (name, fleet) => {
  expect(parseFleet(name)).toEqual({ name, ...fleet });
});

test.each(["", "32", "0x20", "32x", "32x20x0", "32x20x10x1", "32x0/0", "32x0/", "-1x0", "dev:8:0"])(
  "%j is no fleet",
  (name) => {
    expect(() => parseFleet(name)).toThrow("CLIENTSxHOLD");
  },
);

test("the ideal is what the hold allows", () => {
  expect(idealCyclesPerSecond(parseFleet("8x20"))).toBe(100);
  expect(idealCyclesPerSecond(parseFleet("300x20x10"))).toBe(500);
});

test.each([
  [100, 1, [100]],
  [100, 3, [34, 33, 33]],
  [2, 4, [1, 1]],
])("%d clients in %d processes are %j", (clients, processes, expected) => {
  expect(clientsPerProcess(parseFleet(`${clients}x0/${processes}`))).toEqual(expected);
});

test("the options say which fleets are measured, and how", () => {
  const args = ["--only", "32x0,50x5x3", "--seconds", "0.5", "--no-go"];
  expect(parseFleetOptions(args)).toMatchObject({
    fleets: [{ name: "32x0" }, { clients: 50, holdMs: 5, limit: 3 }],
    measureMs: 500,
    withGo: false,
    plot: undefined,
  });
  expect(parseFleetOptions([])).toMatchObject({ withGo: true, rounds: 3 });
  expect(parseFleetOptions(["-h"])).toBe("help");
});

test.each([["--seconds"], ["--rounds"]])("%s must be positive", (option) => {
  expect(() => parseFleetOptions([option, "0"])).toThrow(`${option} must be a positive`);
});

test("the rounds must be whole", () => {
  expect(() => parseFleetOptions(["--rounds", "1.5"])).toThrow("--rounds must be a positive whole");
});
