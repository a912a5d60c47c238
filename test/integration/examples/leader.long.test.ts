import { expect, test } from "vitest";

import type { Contender } from "../../../src/index.js";
import { connect, consul, eventually, expectNothingLeft, freshPrefix } from "../fixture.js";
import { ExampleProcess, PATIENCE_MS } from "./example-process.js";

interface Pair {
  readonly prefix: string;
  readonly leader: ExampleProcess;
  readonly follower: ExampleProcess;
}

function start(prefix: string): ExampleProcess {
  return new ExampleProcess("leader", [], { EXAMPLE_PREFIX: prefix });
}

/** Resolves to the leader, once there is one and another process waits. */
async function leaderAndFollower(prefix: string): Promise<Contender | undefined> {
  const { holders } = await eventually(
    () => connect().semaphorePrefix(prefix, 1).inspect(),
    (now) => now.holders.length === 1 && now.waiters.length === 1,
    PATIENCE_MS,
  );
  return holders[0];
}

/** Two processes, of which one leads and the other waits. */
async function startPair(): Promise<Pair> {
  const prefix = freshPrefix();
  const leader = start(prefix);
  await leader.line(/^step/);
  const follower = start(prefix);
  await leaderAndFollower(prefix);
  return { prefix, leader, follower };
}

/** Ends both in order. */
async function stop({ prefix, leader, follower }: Pair): Promise<void> {
  for (const process of [leader, follower]) process.signal("SIGTERM");
  expect(await leader.ended).toMatchObject({ code: 0 });
  expect(await follower.ended).toMatchObject({ code: 0 });
  await expectNothingLeft(prefix);
}

test("a leader whose session is ended stops, and leads again when it is its turn", async () => {
  const pair = await startPair();
  const { prefix, leader, follower } = pair;

  for (const [first, second] of [
    [leader, follower],
    [follower, leader],
  ] as const) {
    const before = { first: first.lineCount, second: second.lineCount };
    const held = await leaderAndFollower(prefix);
    await connect().session.destroy(held?.session ?? "");
    expect(await first.line(/^lost/, before.first)).toMatch(
      /^lost: SemaphoreLostError: .*its session or contender entry is gone/,
    );
    await second.line(/^leading with token/, before.second);
  }

  await stop(pair);
});

test("a leader whose lock is deleted says so, and one of the two leads again", async () => {
  const pair = await startPair();
  const { prefix, leader, follower } = pair;
  const before = leader.lineCount;

  await consul("DELETE", `/v1/kv/${prefix}/.lock`);

  expect(await leader.line(/^lost/, before)).toMatch(
    /^lost: SemaphoreLostError: .*no longer among the holders/,
  );
  await Promise.race([
    leader.line(/^leading with token/, before),
    follower.line(/^leading with token/),
  ]);
  await stop(pair);
});

test("when the leader is killed, the other takes over", async () => {
  const { prefix, leader, follower } = await startPair();
  leader.signal("SIGKILL");

  await follower.line(/^step/);

  follower.signal("SIGTERM");
  expect(await follower.ended).toMatchObject({ code: 0 });
  await expectNothingLeft(prefix);
});

test("on SIGTERM the leader hands over at once, and a process that waits just ends", async () => {
  const { prefix, leader, follower } = await startPair();
  const third = start(prefix);
  await eventually(
    () => connect().semaphorePrefix(prefix, 1).inspect(),
    ({ waiters }) => waiters.length === 2,
    PATIENCE_MS,
  );

  third.signal("SIGTERM");
  expect(await third.ended).toEqual({ code: 0, signal: null, lines: [] });
  leader.signal("SIGTERM");
  const { code, lines } = await leader.ended;
  expect({ code, last: lines.at(-1) }).toEqual({ code: 0, last: "handing over" });
  await follower.line(/^step/);

  follower.signal("SIGTERM");
  expect(await follower.ended).toMatchObject({ code: 0 });
  await expectNothingLeft(prefix);
});
