// Go's programs take the Consul in memory for a real one.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { TestConsul } from "consul-semaphore/testing";
import { expect, onTestFinished, test } from "vitest";

import { consulCli } from "../harness/consul-cli.js";
import { mostAtOnce, parseIntervals } from "./intervals.js";

const HOLD = fileURLToPath(
  new URL("processes/hold-under-consul-lock-process.mjs", import.meta.url),
);

/** What `consul lock` gives its sessions. */
const SESSION_TTL_MS = 15_000;

test.each([
  ["a semaphore", 2],
  ["a lock", 1],
])("`consul lock` has %s there", { timeout: 120_000 }, async (_, limit) => {
  const cli = await consulCli();
  const consul = await TestConsul.listen();
  onTestFinished(() => consul.close());
  // As users set it, and in Go's own form.
  const addresses = [consul.address, new URL(consul.address).host];
  const takeTurn = async (number: number): Promise<string> => {
    const args = ["lock", `-n=${limit}`, "-shell=false", "jobs", process.execPath, HOLD, "200"];
    const env = { ...process.env, CONSUL_HTTP_ADDR: addresses[number % 2] };
    const { stdout } = await promisify(execFile)(cli, args, { env });
    return stdout;
  };
  const outputs = await Promise.all(Array.from({ length: 5 }, (_turn, number) => takeTurn(number)));
  const turns = parseIntervals(outputs.join("").replaceAll(/^inside\n/gm, ""));
  expect(turns).toHaveLength(5);
  expect(mostAtOnce(turns)).toBeLessThanOrEqual(limit);
  // It does not wait for the end of its session, which then comes with the TTL.
  await expect.poll(() => consul.sessions, { timeout: 2 * SESSION_TTL_MS + 5_000 }).toEqual([]);
});

test("Go waits for a slot of ours there, and has it in its turn", async () => {
  const cli = await consulCli();
  const consul = await TestConsul.listen();
  onTestFinished(() => consul.close());
  const sem = consul.client().semaphorePrefix("jobs", 2);
  const slots = [await sem.acquire(), await consul.client().semaphorePrefix("jobs", 2).acquire()];
  const args = ["lock", `-http-addr=${consul.address}`, "-n=2", "-shell=false", "jobs", "true"];
  const waiting = promisify(execFile)(cli, args);
  await expect.poll(async () => (await sem.inspect()).waiters.length, { timeout: 30_000 }).toBe(1);
  await slots[0]?.release();
  await waiting;
  expect(slots[1]?.held).toBe(true);
});
