import { setTimeout as pause } from "node:timers/promises";

import { expect, test } from "vitest";

import { connect, eventually, expectNothingLeft, freshPrefix } from "../fixture.js";
import { ExampleProcess, PATIENCE_MS } from "./example-process.js";
import { SlowServer } from "./slow-server.js";

/** What the example begins with. */
const LIMIT = 2;
// So many that each process has to get some: one alone has not so many downloads left.
const RAISED = 10;
const LOWERED = 3;
const DOWNLOADS = 6;

function start(prefix: string, args: readonly string[]): ExampleProcess {
  return new ExampleProcess("live-limit", args, { EXAMPLE_PREFIX: prefix });
}

async function resize(prefix: string, limit: number): Promise<void> {
  const { code, lines } = await start(prefix, ["resize", String(limit)]).ended;
  expect({ code, lines }).toEqual({ code: 0, lines: [`the limit is ${limit}`] });
}

/** Resolves when so many downloads are under way. */
async function atWork(server: SlowServer, count: number, withinMs = PATIENCE_MS): Promise<void> {
  await eventually(
    () => Promise.resolve(server.waiting),
    (waiting) => waiting === count,
    withinMs,
  );
}

test("a new limit reaches waiters in every process, and takes nobody's slot away", async () => {
  const prefix = freshPrefix();
  const server = await SlowServer.start();
  const observer = connect().semaphoreOpts({ prefix, limit: LIMIT, adoptLimit: true });
  const processes = ["a", "b"].map((name) => {
    const paths = Array.from({ length: DOWNLOADS }, (_, index) => `/${name}-${index}`);
    return start(prefix, ["fetch", ...paths.map((path) => server.url(path))]);
  });
  await atWork(server, LIMIT);
  await eventually(
    () => observer.inspect(),
    ({ waiters }) => waiters.length >= LIMIT,
    PATIENCE_MS,
  );

  await resize(prefix, RAISED);
  await atWork(server, RAISED, 1_000);
  for (const process of processes) await process.line(/^begin .* limit 10$/);

  await resize(prefix, LOWERED);
  for (let left = RAISED - 1; left >= LOWERED; left -= 1) {
    server.answerOne();
    await atWork(server, left);
  }
  // Time enough for one that comes in although it must not.
  await pause(1_500);
  expect(server.asked).toHaveLength(RAISED);
  expect(server.brokenOff).toEqual([]);
  expect((await observer.inspect()).holders).toHaveLength(LOWERED);

  server.answerOne();
  await atWork(server, LOWERED);
  expect(server.asked).toHaveLength(RAISED + 1);

  server.answerFromNowOn();
  for (const { ended } of processes) {
    const { code, lines } = await ended;
    expect({ code, ends: lines.filter((line) => line.startsWith("end ")).length }).toEqual({
      code: 0,
      ends: DOWNLOADS,
    });
    expect(lines.filter((line) => line.startsWith("failed "))).toEqual([]);
  }
  expect(server.mostAtOnce).toBe(RAISED);
  await expectNothingLeft(prefix);
});

test("a process that comes later goes by the limit in Consul", async () => {
  const prefix = freshPrefix();
  const server = await SlowServer.start();
  await resize(prefix, 1);
  const later = start(prefix, ["fetch", server.url("/a"), server.url("/b")]);
  await atWork(server, 1);
  expect(await later.line(/^begin/)).toMatch(/, limit 1$/);

  server.answerFromNowOn();
  expect(await later.ended).toMatchObject({ code: 0 });
  expect(server.mostAtOnce).toBe(1);
  await expectNothingLeft(prefix);
});
