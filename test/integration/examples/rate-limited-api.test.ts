import { expect, test } from "vitest";

import { connect, eventually, expectNothingLeft, freshPrefix } from "../fixture.js";
import { ExampleProcess, PATIENCE_MS } from "./example-process.js";
import { answerTo, SlowServer } from "./slow-server.js";

const LIMIT = 3;

function start(
  urls: readonly string[],
  prefix: string,
  wait = `${2 * PATIENCE_MS}ms`,
): ExampleProcess {
  const settings = {
    EXAMPLE_PREFIX: prefix,
    WAIT: wait,
    CALL_MS: String(2 * PATIENCE_MS),
  };
  return new ExampleProcess("rate-limited-api", urls, settings);
}

test("two processes never have more than three calls at a time under way", async () => {
  const prefix = freshPrefix();
  const server = await SlowServer.start();
  const paths = Array.from({ length: 12 }, (_, index) => `/call-${index}`);
  const processes = [0, 6].map((first) =>
    start(
      paths.slice(first, first + 6).map((path) => server.url(path)),
      prefix,
    ),
  );
  const observer = connect().semaphorePrefix(prefix, LIMIT);
  // The first three stay until others wait in Consul: of each process, at most three contend there.
  await eventually(
    async () => ({ waiting: server.waiting, ...(await observer.inspect()) }),
    ({ waiting, waiters }) => waiting === LIMIT && waiters.length === LIMIT,
    PATIENCE_MS,
  );
  expect(server.asked).toHaveLength(LIMIT);

  server.answerFromNowOn();
  const ends = await Promise.all(processes.map(({ ended }) => ended));

  expect(ends.map(({ code }) => code)).toEqual([0, 0]);
  expect(ends.flatMap(({ lines }) => lines).sort()).toEqual(
    paths.map((path) => `${server.url(path)}: ${answerTo(path).length} characters`).sort(),
  );
  expect(server.mostAtOnce).toBe(LIMIT);
  expect([...server.asked].sort()).toEqual([...paths].sort());
  await expectNothingLeft(prefix);
});

test("a call that gets no slot in time says so, and is never sent", async () => {
  const prefix = freshPrefix();
  const server = await SlowServer.start();
  const client = connect();
  for (let slot = 0; slot < LIMIT; slot += 1) await client.semaphorePrefix(prefix, LIMIT).acquire();

  const { code, lines } = await start([server.url("/call")], prefix, "500ms").ended;

  expect(code).toBe(1);
  expect(lines).toEqual([
    `${server.url("/call")}: ApiBusyError: no slot of "${prefix}" within 500ms: 3 of 3 held, 0 ahead`,
  ]);
  expect(server.asked).toEqual([]);
  await client.close();
  await expectNothingLeft(prefix);
});

test("a call whose slot is lost is broken off", async () => {
  const prefix = freshPrefix();
  const server = await SlowServer.start();
  const client = connect();
  const calling = start([server.url("/call")], prefix);
  await eventually(
    () => Promise.resolve(server.waiting),
    (waiting) => waiting === 1,
    PATIENCE_MS,
  );
  const { holders } = await client.semaphorePrefix(prefix, LIMIT).inspect();
  for (const { session } of holders) await client.session.destroy(session);

  const { code, lines } = await calling.ended;

  expect(code).toBe(1);
  expect(lines).toEqual([expect.stringContaining("SemaphoreLostError: Semaphore slot lost")]);
  await eventually(
    () => Promise.resolve(server.brokenOff),
    (brokenOff) => brokenOff.length === 1,
  );
  await expectNothingLeft(prefix);
});
