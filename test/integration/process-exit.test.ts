// A library that keeps its process alive, or leaves listeners on the signal it was given, does so
// unseen in a test's own process. These are processes of their own.
import { expect, inject, test } from "vitest";
import { z } from "zod";

import { consul, freshPrefix, keysBelow } from "./fixture.js";
import { runProcess } from "./process-run.js";

/** How long a process may live on with nothing left to do: less than an idle connection does. */
const LINGER_MS = 2_000;

test("a process that only makes a client and a semaphore ends by itself", async () => {
  const prefix = freshPrefix();
  await expectNaturalEnd("only-constructs", [prefix]);
  expect(await keysBelow(prefix)).toEqual([]);
});

test.each([
  ["closed its client", ["close"]],
  ["not closed its client", []],
])("a process that has acquired, released and %s ends by itself", async (_, args) => {
  const prefix = freshPrefix();
  const output = await expectNaturalEnd("acquires-and-releases", [prefix, ...args]);
  expect(output).toEqual({ held: true });
  await expectNothingLeft(prefix);
});

test("a process that closes its client over a slot is told of the loss, and ends", async () => {
  const output = await expectNaturalEnd("closes-while-holding", [freshPrefix()]);
  expect(output).toEqual({ held: false });
});

test("`await using` releases at the end of the block", async () => {
  const prefix = freshPrefix();
  const output = await expectNaturalEnd("awaits-using", [prefix]);
  expect(output).toEqual({ heldInside: true, heldAfter: false });
  await expectNothingLeft(prefix);
});

test("a thousand acquires with one signal leave no listener on it, and no complaint", async () => {
  const prefix = freshPrefix();
  const output = await expectNaturalEnd("cycles-with-one-signal", [prefix, "1000"]);
  expect(output).toEqual({ complaints: [], listeners: 0 });
  await expectNothingLeft(prefix);
});

test("fifty acquires that wait with one signal leave nothing once it aborts", async () => {
  const prefix = freshPrefix();
  const output = await expectNaturalEnd("waits-with-one-signal", [prefix, "50"]);
  expect(output).toEqual({ complaints: [], listeners: 0, rejectedWithReason: 50 });
  await expectNothingLeft(prefix);
});

/** Runs the program, which has to end by itself and in order; gives what it reported. */
async function expectNaturalEnd(name: string, args: readonly string[]): Promise<unknown> {
  const run = await runProcess(name, [inject("consulAddress"), ...args], 50_000);
  expect(run).toMatchObject({ code: 0, signal: null, errorOutput: "" });
  expect(run.lingeredMs).toBeLessThan(LINGER_MS);
  return JSON.parse(run.output);
}

/** All that stays of a semaphore is the lock entry, with nobody in it. */
async function expectNothingLeft(prefix: string): Promise<void> {
  expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`]);
  expect(await consul("GET", `/v1/kv/${prefix}/.lock?raw`)).toBe('{"Limit":1,"Holders":{}}');
  const sessions = z
    .array(z.object({ Name: z.string() }))
    .parse(JSON.parse(await consul("GET", "/v1/session/list")));
  // Each program names its sessions after the prefix.
  expect(sessions.filter(({ Name }) => Name === prefix)).toEqual([]);
}
