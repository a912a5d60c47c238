// The token of a slot: an index of Consul's by which a resource can tell who came later.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";

import { expect, inject, onTestFinished, test } from "vitest";

import type { SemaphoreSlot } from "../../src/index.js";
import { connect, consul, eventually, freshPrefix, lockBelow, makeSession } from "./fixture.js";

/** A store that remembers the greatest token it has been shown, and refuses whoever has a smaller. */
class FencedStore {
  readonly written: string[] = [];
  #greatest = 0n;

  write(what: string, fencingToken: bigint): void {
    if (fencingToken < this.#greatest) {
      throw new RangeError(`token ${fencingToken} is stale: ${this.#greatest} was here`);
    }
    this.#greatest = fencingToken;
    this.written.push(what);
  }
}

function expectStrictlyIncreasing(tokens: readonly bigint[]): void {
  const sorted = [...new Set(tokens)].sort((a, b) => Number(a - b));
  expect(tokens).toEqual(sorted);
}

test.each([1, 3])("the token is the index of the write to the lock (limit %i)", async (limit) => {
  const client = connect();
  const prefix = freshPrefix();
  const semaphores = Array.from({ length: limit }, () => client.semaphorePrefix(prefix, limit));
  for (const sem of semaphores) {
    const { fencingToken, session } = await sem.acquire();
    const lock = await lockBelow(prefix);
    expect(fencingToken).toBe(lock.modifyIndex);
    expect(lock.value).toContain(session);
  }
  for (const sem of semaphores) await sem.release();
});

test("each later acquisition on the prefix has a greater token, also after destroy", async () => {
  const prefix = freshPrefix();
  const session = await makeSession();
  const [one, two, three] = [
    connect().semaphorePrefix(prefix, 1),
    connect().semaphorePrefix(prefix, 1),
    connect().semaphoreOpts({ prefix, limit: 1, session }),
  ];
  const tokens: bigint[] = [];
  for (let round = 0; round < 3; round += 1) {
    for (const sem of [one, two, three, one]) {
      tokens.push((await sem.acquire()).fencingToken);
      await sem.release();
    }
    await two.destroy();
  }
  // Even a lock entry that somebody deletes takes nothing back.
  await consul("DELETE", `/v1/kv/${prefix}?recurse`);
  tokens.push((await two.acquire()).fencingToken);
  await two.release();
  expect(tokens).toHaveLength(13);
  expectStrictlyIncreasing(tokens);
});

test("a resumed slot has a greater token than it had, and the next one a greater still", async () => {
  const prefix = freshPrefix();
  const session = await makeSession();
  const options = { prefix, limit: 1, session };
  const tokens: bigint[] = [];
  for (let restart = 0; restart < 4; restart += 1) {
    const process = connect();
    const slot = await process.semaphoreOpts(options).acquire();
    tokens.push(slot.fencingToken);
    expect(slot.fencingToken).toBe((await lockBelow(prefix)).modifyIndex);
    await process.close();
  }
  const last = connect().semaphoreOpts(options);
  tokens.push((await last.acquire()).fencingToken);
  await last.release();
  const next = connect().semaphorePrefix(prefix, 1);
  tokens.push((await next.acquire()).fencingToken);
  await next.release();
  expectStrictlyIncreasing(tokens);
});

/** Takes turns, and prints the token of each while it still has the slot: ADDRESS PREFIX TURNS */
const TAKES_TURNS = `
  import { writeSync } from "node:fs";
  import { ConsulClient } from "./src/index.ts";
  const [address, prefix, turns] = process.argv.slice(1);
  const client = new ConsulClient({ address });
  const sem = client.semaphorePrefix(prefix, 1);
  for (let turn = 0; turn < Number(turns); turn += 1) {
    await sem.run(({ fencingToken }) => writeSync(1, fencingToken + "\\n"));
  }
  await client.close();
`;

test("the tokens of several processes are in the order of their turns", async () => {
  const TURNS = 15;
  const prefix = freshPrefix();
  const child = spawn(
    "sh",
    // All of them write to one pipe, so that it shows the order.
    [
      "-c",
      `for n in 1 2 3; do "$@" & pids="$pids $!"; done; for pid in $pids; do wait $pid || exit; done`,
      "sh",
      process.execPath,
      ...[
        "--no-deprecation",
        "--import",
        "tsx",
        "--input-type=module",
        "--eval",
        TAKES_TURNS,
        "--",
      ],
      ...[inject("consulAddress"), prefix, String(TURNS)],
    ],
    {
      cwd: join(import.meta.dirname, "..", ".."),
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    },
  );
  onTestFinished(() => {
    if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  });
  const [output, complaints] = await Promise.all([text(child.stdout), text(child.stderr)]);

  expect(complaints).toBe("");
  const tokens = output.trim().split("\n").map(BigInt);
  expect(tokens).toHaveLength(3 * TURNS);
  expectStrictlyIncreasing(tokens);
});

test("a resource that remembers the greatest token refuses a holder that is behind", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const store = new FencedStore();
  const write = (what: string, { fencingToken }: SemaphoreSlot): void => {
    store.write(what, fencingToken);
  };
  const [one, two] = [client.semaphorePrefix(prefix, 1), client.semaphorePrefix(prefix, 1)];
  const first = await one.acquire();
  write("the first", first);
  write("the first again", first);
  const second = two.acquire();
  await eventually(
    () => two.inspect(),
    ({ waiters }) => waiters.length === 1,
  );

  // An operator ends the session by force; the holder may be in the middle of something.
  await client.session.destroy(first.session);

  const secondSlot = await second;
  write("the second", secondSlot);
  expect(() => {
    write("the first, late", first);
  }).toThrow("is stale");
  write("the second again", secondSlot);
  expect(store.written).toEqual(["the first", "the first again", "the second", "the second again"]);

  // And after a release, which is not told to the resource, all the same.
  await two.release();
  await one.release();
  const third = await one.acquire();
  write("the third", third);
  expect(() => {
    write("the second, late", secondSlot);
  }).toThrow("is stale");
  await one.release();
});
