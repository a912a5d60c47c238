import { expect, test } from "vitest";

import { connect, eventually, expectNothingLeft, freshPrefix } from "../fixture.js";
import { ExampleProcess, PATIENCE_MS } from "./example-process.js";

const LIMIT = 3;

function start(
  prefix: string,
  { workMs = 10, acquireTimeout = `${PATIENCE_MS}ms` } = {},
): ExampleProcess {
  return new ExampleProcess("from-redis-semaphore", ["dog.png", String(workMs)], {
    EXAMPLE_PREFIX: prefix,
    ACQUIRE_TIMEOUT: acquireTimeout,
  });
}

test("with slots that are free, both ways do their work", async () => {
  const prefix = freshPrefix();
  expect(await start(prefix).ended).toMatchObject({
    code: 0,
    lines: ["resized dog.png", "resize: done", "resized dog.png", "resize if free: done"],
  });
  await expectNothingLeft(prefix);
});

test("with none, one way waits for its time and the other does not", async () => {
  const prefix = freshPrefix();
  const client = connect();
  for (let slot = 0; slot < LIMIT; slot += 1) await client.semaphorePrefix(prefix, LIMIT).acquire();

  expect(await start(prefix, { acquireTimeout: "500ms" }).ended).toMatchObject({
    code: 0,
    lines: ["resize: timed out", "resize if free: busy"],
  });
  await client.close();
  await expectNothingLeft(prefix);
});

test("a loss stops the work, whichever way the slot was got", async () => {
  const prefix = freshPrefix();
  const client = connect();
  const ours = start(prefix, { workMs: 2 * PATIENCE_MS });
  for (const way of ["resize", "resize if free"]) {
    const { holders } = await eventually(
      () => client.semaphorePrefix(prefix, LIMIT).inspect(),
      (now) => now.holders.length === 1,
      PATIENCE_MS,
    );
    for (const { session } of holders) await client.session.destroy(session);
    expect(await ours.line(new RegExp(`^${way}: `))).toBe(`${way}: lost (session-invalidated)`);
  }
  expect(await ours.ended).toMatchObject({ code: 0 });
  await expectNothingLeft(prefix);
});
