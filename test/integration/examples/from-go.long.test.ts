import { spawn } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { beforeAll, expect, inject, onTestFinished, test } from "vitest";

import { consulCli } from "../../harness/consul-cli.js";
import { connect, eventually, expectNothingLeft, freshPrefix } from "../fixture.js";
import { freshFolder } from "../own-agent.js";
import { ExampleProcess, PATIENCE_MS } from "./example-process.js";

const LIMIT = 2;
const HOLDER = join(import.meta.dirname, "..", "processes", "hold-under-consul-lock-process.mjs");

let cli: string;
beforeAll(async () => {
  cli = await consulCli();
}, 300_000);

/** Go's own semaphore, which holds as long as the file is there. Resolves to its code. */
function consulLock(prefix: string, file: string): Promise<number | null> {
  const args = [`-http-addr=${inject("consulAddress")}`, "-shell=false", `-n=${LIMIT}`];
  // Its sessions are named after the prefix, to be cleared away with that.
  args.push(`-name=${prefix}`, prefix, process.execPath, HOLDER, "0", file);
  const child = spawn(cli, ["lock", ...args], { stdio: "ignore" });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return ended;
}

function start(prefix: string): ExampleProcess {
  return new ExampleProcess("from-go", [], { EXAMPLE_PREFIX: prefix });
}

test("it waits for `consul lock -n 2`, and `consul lock -n 2` waits for it", async () => {
  const prefix = freshPrefix();
  const folder = await freshFolder(onTestFinished);
  const observer = connect().semaphorePrefix(prefix, LIMIT);
  const until = async (holders: number, waiters: number): Promise<string[]> => {
    const state = await eventually(
      () => observer.inspect(),
      (now) => now.holders.length === holders && now.waiters.length === waiters,
      PATIENCE_MS,
    );
    return state.holders.map(({ session }) => session);
  };
  const [one, two, three] = ["one", "two", "three"].map((name) => join(folder, name));
  if (one === undefined || two === undefined || three === undefined) throw new Error("no files");
  for (const file of [one, two, three]) await writeFile(file, "");

  const first = [consulLock(prefix, one), consulLock(prefix, two)];
  const byGo = await until(2, 0);
  const ours = start(prefix);
  // Before its turn has come it has not begun on its work, though there is some.
  ours.write("a\n");
  expect(await until(2, 1)).toEqual(byGo);
  await rm(one);
  await ours.line(/^handled a$/);
  const third = consulLock(prefix, three);
  const withOurs = await until(2, 1);
  ours.write("b\n");
  ours.endInput();

  expect(await ours.ended).toMatchObject({
    code: 0,
    lines: ["holding", "handled a", "handled b"],
  });
  const withoutOurs = await until(2, 0);
  expect(withoutOurs).not.toEqual(withOurs);
  await rm(two);
  await rm(three);
  expect(await Promise.all([...first, third])).toEqual([0, 0, 0]);
  // Of Go's, nothing is asked but that: its process deletes the lock if nobody is in it any more,
  // and may end before it has destroyed its session, which is then left to its TTL.
  expect(await observer.inspect()).toMatchObject({ holders: [], waiters: [] });
  const [session = "", ...others] = withOurs.filter((id) => !byGo.includes(id));
  expect(others).toEqual([]);
  expect((await connect().session.info(session)).value).toBeNull();
});

test.each([
  ["stops waiting", 2],
  ["stops working", 0],
])("on SIGTERM it %s and leaves in order", async (_what, others) => {
  const prefix = freshPrefix();
  const client = connect();
  for (let slot = 0; slot < others; slot += 1) {
    await client.semaphorePrefix(prefix, LIMIT).acquire();
  }
  const ours = start(prefix);
  const { contenders } = await eventually(
    async () => {
      const { holders, waiters } = await client.semaphorePrefix(prefix, LIMIT).inspect();
      return { contenders: [...holders, ...waiters] };
    },
    (now) => now.contenders.length === others + 1,
    PATIENCE_MS,
  );
  if (others === 0) await ours.line(/^holding$/);
  ours.signal("SIGTERM");

  const { code, lines } = await ours.ended;

  expect({ code, lines }).toEqual({ code: 0, lines: others === 0 ? ["holding"] : [] });
  await client.close();
  await expectNothingLeft(prefix);
  const observer = connect();
  const left = contenders.map(({ session }) => observer.session.info(session));
  expect((await Promise.all(left)).filter(({ value }) => value !== null)).toEqual([]);
});

test("it stops working when its slot is lost, and says why", async () => {
  const prefix = freshPrefix();
  const client = connect();
  const ours = start(prefix);
  await ours.line(/^holding$/);
  const { holders } = await client.semaphorePrefix(prefix, LIMIT).inspect();
  for (const { session } of holders) await client.session.destroy(session);

  const { code, lines } = await ours.ended;

  expect({ code, lines }).toEqual({
    code: 1,
    lines: ["holding", expect.stringContaining("SemaphoreLostError: Semaphore slot lost")],
  });
  await expectNothingLeft(prefix);
});
