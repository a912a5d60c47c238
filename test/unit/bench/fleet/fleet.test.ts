import { expect, test } from "vitest";

import {
  clientsPerProcess,
  idealCyclesPerSecond,
  parseFleet,
} from "../../../../bench/fleet/fleet.js";
import { parseFleetOptions } from "../../../../bench/fleet/fleet-options.js";

test.each([
  ["32x0", { clients: 32, holdMs: 0, limit: 2 }],
  ["300x20x10", { clients: 300, holdMs: 20, limit: 10 }],
])("the fleet %s is %j", (name, fleet) => {
  expect(parseFleet(name)).toEqual({ name, ...fleet });
});

test.each(["", "32", "0x20", "32x", "32x20x0", "32x20x10x1", "-1x0", "dev:8:0"])(
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
  expect(clientsPerProcess(parseFleet(`${clients}x0`), processes)).toEqual(expected);
});

test("the options say which fleets are measured, and how", () => {
  const args = ["--only", "32x0,50x5x3", "--seconds", "0.5", "--processes", "2", "--no-go"];
  expect(parseFleetOptions(args)).toMatchObject({
    fleets: [{ name: "32x0" }, { clients: 50, holdMs: 5, limit: 3 }],
    measureMs: 500,
    processes: 2,
    withGo: false,
  });
  expect(parseFleetOptions([])).toMatchObject({ withGo: true, processes: 1 });
  expect(parseFleetOptions(["-h"])).toBe("help");
});

test.each([["--seconds"], ["--rounds"], ["--processes"]])("%s must be positive", (option) => {
  expect(() => parseFleetOptions([option, "0"])).toThrow(`${option} must be a positive`);
});

test.each([["--rounds"], ["--processes"]])("%s must be whole", (option) => {
  expect(() => parseFleetOptions([option, "1.5"])).toThrow(`${option} must be a positive whole`);
});
