// What code finds that has blocked its event loop for longer than its session lasts: neither timers
// nor sockets could tell it meanwhile, so that it has to be told before anything else is.
import { randomUUID } from "node:crypto";

import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";

import { startConsul, type RunningConsul } from "../harness/start-consul.js";
import { runProcess } from "./process-run.js";

/** Longer than the programs' TTL of 2 s; Consul frees the session after up to twice that. */
const BLOCK_MS = 3_000;
const BLOCK_PAST_FREEING_MS = 5_000;

let agent: RunningConsul;
beforeAll(async () => {
  agent = await startConsul({ own: true, hcl: 'session_ttl_min = "1s"' });
}, 300_000);
afterAll(() => agent.stop());

const PLACES = [
  "a timer",
  "a callback of I/O",
  "the continuation of an answer",
  "a renewal's way",
  "the way of a renewal in time",
  "another acquire's way",
] as const;

const reportSchema = z.strictObject({
  heldOnWaking: z.boolean().optional(),
  events: z.array(z.string()),
  heldAgain: z.boolean(),
});

/** Runs the program to its end, which has to be in order, and gives what it reports. */
async function reportOf(name: string, args: readonly unknown[]): Promise<unknown> {
  const prefix = `test/${randomUUID()}/semaphore`;
  const run = await runProcess(name, [agent.address, prefix, ...args.map(String)], 40_000);
  expect(run).toMatchObject({ code: 0, signal: null, errorOutput: "" });
  return JSON.parse(run.output);
}

/** The loss is told, before the library tells of anything that went well, and for good. */
function expectToldFirst(events: readonly string[]): void {
  const told = events.findIndex((event) => /^lost: session-(expired|invalidated)$/.test(event));
  expect(told, `of ${JSON.stringify(events)}`).toBeGreaterThanOrEqual(0);
  for (const success of ["released", "other acquired"]) {
    const at = events.indexOf(success);
    expect(at === -1 || at > told, `of ${JSON.stringify(events)}`).toBe(true);
  }
}

test.concurrent.for(PLACES)("blocked on %s, it is not held when it asks", async (place) => {
  const report = reportSchema.parse(
    await reportOf("blocks-its-event-loop", [place, "asks", BLOCK_MS]),
  );
  expect(report).toMatchObject({ heldOnWaking: false, heldAgain: false });
  expectToldFirst(report.events);
});

test.concurrent.for(PLACES)("blocked on %s, it is told of the loss first", async (place) => {
  const report = reportSchema.parse(
    await reportOf("blocks-its-event-loop", [place, "listens", BLOCK_MS]),
  );
  expect(report.heldAgain).toBe(false);
  expectToldFirst(report.events);
});

test.concurrent.for(PLACES)("blocked on %s, a release is none of a slot", async (place) => {
  const report = reportSchema.parse(
    await reportOf("blocks-its-event-loop", [place, "releases", BLOCK_MS]),
  );
  expect(report.heldAgain).toBe(false);
  expectToldFirst(report.events);
});

test.concurrent.for(["asks", "listens", "releases"])(
  "blocked until its session is gone from Consul, it is told too when it %s",
  async (manner) => {
    const report = reportSchema.parse(
      await reportOf("blocks-its-event-loop", ["a timer", manner, BLOCK_PAST_FREEING_MS]),
    );
    expect(report.heldOnWaking).not.toBe(true);
    expect(report.heldAgain).toBe(false);
    expectToldFirst(report.events);
  },
);

test.concurrent("with a session of the user's it is not held either", async () => {
  const report = reportSchema.parse(
    await reportOf("blocks-its-event-loop", ["a timer", "asks", BLOCK_MS, "the user's"]),
  );
  expect(report).toMatchObject({ heldOnWaking: false, heldAgain: false });
  expectToldFirst(report.events);
});

test.concurrent("run rejects when its function blocks for too long", async () => {
  const report = await reportOf("blocks-in-run", [BLOCK_MS]);
  expect(report).toEqual({ outcome: "lost: session-expired", isHeld: false });
});
