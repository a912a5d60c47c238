// A library that keeps its process alive, or leaves listeners on the signal it was given, does so
// unseen in a test's own process. These are processes of their own.
import { expect, inject, test } from "vitest";

import { freshPrefix, keysBelow, lockBelow, sessionsNamed } from "./fixture.js";
import { runProcess } from "./process-run.js";

/**
 * How long a process may live on with nothing left to do, by its own clock: less than an idle
 * connection does, which is closed after 4 s.
 */
const LINGER_MS = 3_500;

test("a process that only makes a client and a semaphore ends by itself", async () => {
  const prefix = freshPrefix();
  await expectNaturalEnd("only-constructs", [prefix]);
  expect(await keysBelow(prefix)).toEqual([]);
});

test("a process that has acquired, released and closed its client ends by itself", async () => {
  const prefix = freshPrefix();
  const output = await expectNaturalEnd("acquires-and-releases", [prefix, "close"]);
  expect(output).toEqual({ held: true });
  await expectNothingHeld(prefix);
  expect(await sessionsNamed(prefix)).toEqual([]);
});

test("so does one that has not closed it; what it kept for a next slot holds nothing", async () => {
  const prefix = freshPrefix();
  const output = await expectNaturalEnd("acquires-and-releases", [prefix]);
  expect(output).toEqual({ held: true });
  await expectNothingHeld(prefix);
  expect(await sessionsNamed(prefix)).toHaveLength(1);
});

test("a process that closes its client over a slot gives it back, and ends", async () => {
  const prefix = freshPrefix();
  const output = await expectNaturalEnd("closes-while-holding", [prefix]);
  expect(output).toEqual({
    held: false,
    reason: `SemaphoreReleasedError: Semaphore slot released: "${prefix}": await what works in it before that`,
  });
  await expectNothingHeld(prefix);
});

test("`await using` releases at the end of the block", async () => {
  const prefix = freshPrefix();
  const output = await expectNaturalEnd("awaits-using", [prefix]);
  expect(output).toEqual({ heldInside: true, heldAfter: false });
  await expectNothingHeld(prefix);
});

test("a thousand acquires with one signal leave no listener on it, and no complaint", async () => {
  const prefix = freshPrefix();
  const output = await expectNaturalEnd("cycles-with-one-signal", [prefix, "1000"]);
  expect(output).toEqual({ complaints: [], listeners: 0 });
  await expectNothingHeld(prefix);
  // All its slots had the one session.
  expect(await sessionsNamed(prefix)).toHaveLength(1);
});

test("fifty acquires that wait with one signal leave nothing once it aborts", async () => {
  const prefix = freshPrefix();
  const output = await expectNaturalEnd("waits-with-one-signal", [prefix, "50"]);
  expect(output).toEqual({ complaints: [], listeners: 0, rejectedWithReason: 50 });
  await expectNothingHeld(prefix);
  // That of the holder; those of the waiters were ended.
  expect(await sessionsNamed(prefix)).toHaveLength(1);
});

/** Runs the program, which has to end by itself and in order; gives what it reported. */
async function expectNaturalEnd(name: string, args: readonly string[]): Promise<unknown> {
  const run = await runProcess(name, [inject("consulAddress"), ...args], 50_000);
  expect(run).toMatchObject({ code: 0, signal: null, errorOutput: "" });
  expect(run.lingeredMs).toBeLessThan(LINGER_MS);
  return JSON.parse(run.output);
}

/**
 * All that stays of a semaphore is the lock entry, with nobody in it. Each program names its
 * sessions after the prefix: one that was kept goes with its TTL.
 */
async function expectNothingHeld(prefix: string): Promise<void> {
  expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`]);
  expect((await lockBelow(prefix)).value).toBe('{"Limit":1,"Holders":{}}');
}
