// What the diagnostics channels cost while nobody listens, in the processor's time: beside a whole
// cycle against a Consul in memory, which is cheaper than any over a network.
import { expect, test } from "vitest";

import {
  acquireChannel,
  heldChannel,
  releaseChannel,
  renewChannel,
  traced,
  tracedTime,
  waitChannel,
} from "../../src/diagnostics.js";
import { Scene } from "./client-of-fake.js";

const SEMAPHORE = { prefix: "jobs/resize", limit: 2 };
const SLOT = { ...SEMAPHORE, session: "5a4c4fa2-8c3d-4d3a-9b1e-0d0f6d6c2f11", fencingToken: 42n };

/** Milliseconds of the processor that one of so many rounds takes. */
async function costOf(rounds: number, round: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  for (let count = 0; count < rounds; count += 1) await round();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000 / rounds;
}

const nothing = (): Promise<void> => Promise.resolve();

/** All that a cycle with a wait and a renewal passes by. */
async function told(): Promise<void> {
  await traced(acquireChannel, { ...SEMAPHORE, call: "acquire" }, nothing);
  await traced(waitChannel, { ...SEMAPHORE, where: "consul", session: SLOT.session }, nothing);
  const heldNoLonger = tracedTime(heldChannel, { ...SLOT });
  await traced(renewChannel, { session: SLOT.session, ttl: 15_000 }, nothing);
  heldNoLonger();
  await traced(releaseChannel, { ...SLOT }, nothing);
}

/** The same without a word. */
async function untold(): Promise<void> {
  for (let call = 0; call < 4; call += 1) await nothing();
}

test("channels that nobody listens to take less than a hundredth of a cycle", async () => {
  const sem = new Scene().client.semaphorePrefix("jobs/resize", 2);
  const cycle = async (): Promise<void> => {
    await sem.acquire();
    await sem.release();
  };
  // Compiled code is compared, not the compiler.
  for (const [rounds, round] of [
    [20_000, told] as const,
    [20_000, untold] as const,
    [200, cycle] as const,
  ]) {
    await costOf(rounds, round);
  }

  const channels = (await costOf(100_000, told)) - (await costOf(100_000, untold));
  const whole = await costOf(1_000, cycle);
  const shown = `${(channels * 1e6).toFixed(0)} ns of a cycle's ${(whole * 1e3).toFixed(0)} µs`;
  expect(channels / whole, shown).toBeLessThan(0.01);
});
