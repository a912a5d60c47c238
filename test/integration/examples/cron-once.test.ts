import { expect, test } from "vitest";

import { connect, expectNothingLeft, freshPrefix } from "../fixture.js";
import { ExampleProcess } from "./example-process.js";

/** A job that tells when it begins, goes on until it is told to end, and tells that as well. */
const JOB = ["sh", "-c", 'echo "ran with $FENCING_TOKEN"; read line; echo "ended by $line"'];
const SKIPPED = "skipped report: it is running elsewhere";

function start(prefix: string, job: readonly string[] = JOB): ExampleProcess {
  return new ExampleProcess("cron-once", ["report", ...job], { EXAMPLE_PREFIX: prefix });
}

test("of four instances that start together exactly one runs, and the others skip", async () => {
  const prefix = freshPrefix();
  const instances = Array.from({ length: 4 }, () => start(prefix));
  const outcomes = await Promise.all(
    instances.map(async (instance) => ({ instance, line: await instance.line(/^(ran|skipped)/) })),
  );

  const ran = outcomes.filter(({ line }) => /^ran with \d+$/.test(line));
  expect(ran).toHaveLength(1);
  for (const { instance, line } of outcomes) {
    if (line === SKIPPED) expect(await instance.ended).toMatchObject({ code: 0, lines: [SKIPPED] });
    else instance.write("the test\n");
  }
  for (const { instance, line } of ran) {
    expect(await instance.ended).toMatchObject({ code: 0, lines: [line, "ended by the test"] });
  }
  await expectNothingLeft(prefix);
});

test("the next one runs, and ends with the code of its command", async () => {
  const prefix = freshPrefix();
  for (const code of [0, 3]) {
    expect(await start(prefix, ["sh", "-c", `exit ${code}`]).ended).toMatchObject({ code });
  }
  await expectNothingLeft(prefix);
});

test("the command is stopped when the slot is lost", async () => {
  const prefix = freshPrefix();
  const client = connect();
  const instance = start(prefix);
  await instance.line(/^ran/);
  const { holders } = await client.semaphorePrefix(prefix, 1).inspect();
  for (const { session } of holders) await client.session.destroy(session);

  const { code, lines } = await instance.ended;

  expect(code).toBe(1);
  expect(lines).toEqual([
    expect.stringMatching(/^ran/),
    expect.stringMatching(/^stopped report: SemaphoreLostError/),
  ]);
  await expectNothingLeft(prefix);
});

test("and when the process is: the slot is free at once", async () => {
  const prefix = freshPrefix();
  const instance = start(prefix);
  await instance.line(/^ran/);
  instance.signal("SIGTERM");
  const { code, lines } = await instance.ended;
  expect({ code, last: lines.at(-1) }).toEqual({ code: 1, last: "stopped report: Error: SIGTERM" });
  await expectNothingLeft(prefix);
});
