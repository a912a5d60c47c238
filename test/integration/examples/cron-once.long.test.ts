import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { expect, onTestFinished, test } from "vitest";

import { connect, consul, expectNothingLeft, freshPrefix } from "../fixture.js";
import { freshFolder } from "../own-agent.js";
import { ExampleProcess, PATIENCE_MS } from "./example-process.js";

/** A job that reports its begin, and goes on until it reads a line. */
const LONG_JOB = ["sh", "-c", 'echo "ran with $FENCING_TOKEN"; read line; echo "ended by $line"'];
const FIRST = "2026-01-01T10";
const SECOND = "2026-01-01T11";

interface Start {
  readonly period?: string;
  readonly wait?: string;
}

function start(
  prefix: string,
  job: readonly string[],
  { period = FIRST, wait = `${PATIENCE_MS}ms` }: Start = {},
): ExampleProcess {
  return new ExampleProcess("cron-once", ["report", period, ...job], {
    EXAMPLE_PREFIX: prefix,
    WAIT: wait,
  });
}

/** What is recorded of the last run: its period, host and token. */
async function lastRun(prefix: string): Promise<string[]> {
  const text = await consul("GET", `/v1/kv/${prefix}.last?raw`);
  return text === "" ? [] : text.split(" ");
}

interface QuickJob {
  readonly command: readonly string[];
  /** The period of each run, in order. */
  readonly runs: () => Promise<string[]>;
}

/** A job of a few milliseconds, which may fail the first times. */
async function quickJob({ failures = 0 } = {}): Promise<QuickJob> {
  const file = join(await freshFolder(onTestFinished), "runs");
  await appendFile(file, "");
  return {
    command: ["sh", "-c", `echo $PERIOD >> ${file}; [ $(wc -l < ${file}) -gt ${failures} ]`],
    runs: async () => (await readFile(file, "utf8")).split("\n").filter((line) => line !== ""),
  };
}

/** Five machines, of which each is a little later than the one before. */
async function startFive(
  prefix: string,
  job: QuickJob,
  options: Start & { readonly apartMs?: number } = {},
): Promise<{ readonly codes: (number | null)[]; readonly lines: string[] }> {
  const { apartMs = 0 } = options;
  const machines = Array.from({ length: 5 }, async (_, index) => {
    await pause(index * apartMs);
    return await start(prefix, job.command, options).ended;
  });
  const ends = await Promise.all(machines);
  return { codes: ends.map(({ code }) => code), lines: ends.flatMap(({ lines }) => lines) };
}

function skips(period: string, count: number): string[] {
  return Array.from({ length: count }, () => `skipped report: ${period} is done`);
}

test.each([
  ["at once", 0],
  ["a second apart, as by clocks that differ", 1_000],
])(
  "a job of milliseconds runs once per period on five machines that start %s",
  async (_, apartMs) => {
    const prefix = freshPrefix();
    const job = await quickJob();

    for (const period of [FIRST, SECOND]) {
      const { codes, lines } = await startFive(prefix, job, { period, apartMs });
      expect(codes).toEqual([0, 0, 0, 0, 0]);
      expect(lines).toEqual(skips(period, 4));
    }

    expect(await job.runs()).toEqual([FIRST, SECOND]);
    expect(await lastRun(prefix)).toEqual([
      SECOND,
      expect.anything(),
      expect.stringMatching(/^\d+$/),
    ]);
    // A machine that comes an hour late finds its period over.
    expect(await start(prefix, job.command).ended).toMatchObject({
      code: 0,
      lines: skips(SECOND, 1),
    });
    await expectNothingLeft(prefix);
  },
);

test("the name of a period may have spaces", async () => {
  const prefix = freshPrefix();
  const job = await quickJob();
  const period = "2026-01-01 10";
  await start(prefix, job.command, { period }).ended;
  expect(await start(prefix, job.command, { period }).ended).toMatchObject({
    code: 0,
    lines: skips(period, 1),
  });
  expect(await job.runs()).toEqual([period]);
  await expectNothingLeft(prefix);
});

test("a run that failed is tried by other machines until one succeeds", async () => {
  const prefix = freshPrefix();
  const job = await quickJob({ failures: 2 });

  const { codes, lines } = await startFive(prefix, job);

  expect(codes.sort()).toEqual([0, 0, 0, 1, 1]);
  expect(lines).toEqual(skips(FIRST, 2));
  expect(await job.runs()).toEqual([FIRST, FIRST, FIRST]);
  await expectNothingLeft(prefix);
});

test("it ends with the code of its command, and waits no longer than it may", async () => {
  const prefix = freshPrefix();
  expect(await start(prefix, ["sh", "-c", "exit 3"]).ended).toMatchObject({ code: 3 });
  const running = start(prefix, LONG_JOB);
  await running.line(/^ran/);
  expect(await start(prefix, LONG_JOB, { wait: "0s" }).ended).toMatchObject({
    code: 0,
    lines: ["skipped report: still running elsewhere after 0s"],
  });
  running.write("the test\n");
  expect(await running.ended).toMatchObject({ code: 0 });
  await expectNothingLeft(prefix);
});

test("the command is stopped when the slot is lost, and another machine tries", async () => {
  const prefix = freshPrefix();
  const client = connect();
  const first = start(prefix, LONG_JOB);
  await first.line(/^ran/);
  const second = start(prefix, LONG_JOB);
  const { holders } = await client.semaphorePrefix(prefix, 1).inspect();
  for (const { session } of holders) await client.session.destroy(session);

  expect(await first.ended).toMatchObject({
    code: 1,
    lines: [
      expect.stringMatching(/^ran/),
      expect.stringMatching(/^stopped report: SemaphoreLostError/),
    ],
  });
  expect(await lastRun(prefix)).toEqual([]);
  await second.line(/^ran/);
  second.write("the test\n");
  expect(await second.ended).toMatchObject({ code: 0 });
  expect((await lastRun(prefix))[0]).toBe(FIRST);
  await expectNothingLeft(prefix);
});

test("and when the process is: the slot is free at once", async () => {
  const prefix = freshPrefix();
  const machine = start(prefix, LONG_JOB);
  await machine.line(/^ran/);
  machine.signal("SIGTERM");
  const { code, lines } = await machine.ended;
  expect({ code, last: lines.at(-1) }).toEqual({ code: 1, last: "stopped report: Error: SIGTERM" });
  expect(await lastRun(prefix)).toEqual([]);
  await expectNothingLeft(prefix);
});
