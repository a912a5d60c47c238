// Side by side with the original: `consul lock -n 2` is Go's semaphore in Consul's own binary.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { beforeAll, expect, inject, onTestFinished, test } from "vitest";

import type { SemaphoreState } from "../../src/index.js";
import { consulCli } from "../harness/consul-cli.js";
import { connect, consul, eventually, freshPrefix } from "./fixture.js";
import { mostAtOnce, parseIntervals, type Interval } from "./intervals.js";

const PROCESSES = fileURLToPath(new URL("processes/", import.meta.url));
const LIMIT = 2;

let cli: string;
beforeAll(async () => {
  cli = await consulCli();
}, 300_000);

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** Runs a program to its end; it is killed if the test ends before. */
function run(program: string, args: readonly string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    onTestFinished(() => {
      child.kill("SIGKILL");
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({ code, output });
    });
  });
}

/** One turn of the Go semaphore, for as long as the file is there. */
function consulLock(
  prefix: string,
  { holdMs = 0, file, options = [] }: { holdMs?: number; file?: string; options?: string[] } = {},
): Promise<Ended> {
  return run(cli, [
    "lock",
    `-http-addr=${inject("consulAddress")}`,
    "-shell=false",
    `-n=${LIMIT}`,
    "-name=go",
    ...options,
    prefix,
    process.execPath,
    join(PROCESSES, "hold-under-consul-lock-process.mjs"),
    String(holdMs),
    ...(file === undefined ? [] : [file]),
  ]);
}

/** A file for `consulLock` to hold as long as it is there. */
async function holdFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "consul-semaphore-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "hold");
  await writeFile(file, "");
  return file;
}

test("Go holders fill the semaphore for us, and we see them", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const sem = client.semaphoreOpts({ prefix, limit: LIMIT, semaphoreWaitTime: "100ms" });
  const [one, two] = [await holdFile(), await holdFile()];
  const locks = [consulLock(prefix, { file: one }), consulLock(prefix, { file: two })];
  const { holders } = await eventually(
    () => sem.inspect(),
    (state) => state.holders.length === LIMIT,
  );

  const names = holders.map(
    async ({ session }) => (await client.session.info(session)).value?.name,
  );
  expect(await Promise.all(names)).toEqual(["go", "go"]);
  expect(await sem.tryAcquire()).toBeNull();
  await expect(sem.destroy()).rejects.toThrow("Semaphore in use");

  const waiting = sem.acquire();
  await rm(one);
  expect((await waiting).held).toBe(true);
  await rm(two);
  expect((await Promise.all(locks)).map(({ code }) => code)).toEqual([0, 0]);
  await sem.release();
});

test("our holders fill the semaphore for Go", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const [one, two] = [client.semaphorePrefix(prefix, LIMIT), client.semaphorePrefix(prefix, LIMIT)];
  await one.acquire();
  const slot = await two.acquire();

  const refused = await consulLock(prefix, { options: ["-try=500ms"] });
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.output).toContain("timeout during lock acquisition");

  const waiting = consulLock(prefix);
  await eventually(
    () => two.inspect(),
    ({ waiters }) => waiters.length === 1,
  );
  await one.release();
  expect(await waiting).toMatchObject({ code: 0 });
  expect(slot.held).toBe(true);
  await two.release();
});

test("Go refuses our limit, as we refuse Go's", async () => {
  const prefix = freshPrefix();
  const sem = connect().semaphorePrefix(prefix, 5);
  await sem.acquire();
  const refused = await consulLock(prefix);
  expect(refused.code).toBe(1);
  expect(refused.output).toContain("semaphore limit conflict (lock: 5, local: 2)");
  await sem.release();
});

test("alone on a prefix, Go writes the very bytes that we write", async () => {
  const prefix = freshPrefix();
  const sem = connect().semaphoreOpts({ prefix, limit: LIMIT, value: "" });
  const written = async (): Promise<string> => {
    const listing = await consul("GET", `/v1/kv/${prefix}/?recurse`);
    const { session } = (await sem.inspect()).holders[0] ?? { session: "nobody" };
    const lock = await consul("GET", `/v1/kv/${prefix}/.lock?raw`);
    return listing
      .replace(/"Value": ?"[^"]*"/, `"Value": ${JSON.stringify(lock)}`)
      .replaceAll(session, "SESSION")
      .replaceAll(/"(\w+Index)": ?\d+/g, '"$1": N');
  };
  const file = await holdFile();
  const lock = consulLock(prefix, { file });
  await eventually(
    () => sem.inspect(),
    ({ holders }) => holders.length === 1,
  );
  const byGo = await written();
  await rm(file);
  await lock;

  await sem.acquire();
  const byUs = await written();
  await sem.release();

  expect(byGo).toContain('{\\"Limit\\":2,\\"Holders\\":{\\"SESSION\\":true}}');
  expect(byUs).toBe(byGo);
});

test(
  "many waiters of one client and 2 Go loops contend, and neither side is left standing",
  { timeout: 240_000 },
  async () => {
    const GO_TURNS = 8;
    const OURS = 20;
    const client = connect();
    const prefix = freshPrefix();
    const observer = connect().semaphorePrefix(prefix, LIMIT);
    const goLoop = async (): Promise<string> => {
      let output = "";
      for (let turn = 0; turn < GO_TURNS; turn += 1) {
        const ended = await consulLock(prefix, { holdMs: 20 });
        expect(ended, ended.output).toMatchObject({ code: 0 });
        output += ended.output;
      }
      return output;
    };
    const intervals: Interval[] = [];
    let goIsDone = false;
    const ourLoop = async (): Promise<void> => {
      const sem = client.semaphorePrefix(prefix, LIMIT);
      while (!goIsDone) {
        await sem.run(async (slot) => {
          const entered = process.hrtime.bigint();
          await new Promise((resolve) => setTimeout(resolve, 5));
          expect(slot.held).toBe(true);
          intervals.push({ who: "node", entered, left: process.hrtime.bigint() });
        });
      }
    };
    const ours = Promise.all(Array.from({ length: OURS }, ourLoop));
    // So that Go comes to a queue that is never empty.
    await eventually(
      () => observer.inspect(),
      ({ waiters }) => waiters.length >= OURS - LIMIT,
    );

    const outputs = await Promise.all([goLoop(), goLoop()]).finally(() => (goIsDone = true));
    await ours;

    const byGo = parseIntervals(outputs.join("").replaceAll(/^inside\n/gm, ""));
    expect(byGo).toHaveLength(2 * GO_TURNS);
    expect(mostAtOnce([...byGo, ...intervals])).toBe(LIMIT);
    // Ours went on while Go had its turns.
    const goEntries = byGo.map(({ entered }) => entered).sort((a, b) => Number(a - b));
    const [firstGo = 0n, lastGo = 0n] = [goEntries[0], goEntries.at(-1)];
    const between = intervals.filter(({ entered }) => entered > firstGo && entered < lastGo);
    expect(between.length).toBeGreaterThan(byGo.length);
    expect(await observer.inspect()).toMatchObject({ holders: [], waiters: [] });
  },
);

test(
  "3 Node processes and 3 Go loops contend, and never more than 2 are inside",
  { timeout: 240_000 },
  async () => {
    const TURNS = 6;
    const client = connect();
    const prefix = freshPrefix();
    const observer = client.semaphorePrefix(prefix, LIMIT);
    const names = new Map<string, string | undefined>();
    const heldBy = new Set<string | undefined>();
    let mostHolders = 0;
    const observe = async (done: AbortSignal): Promise<void> => {
      while (!done.aborted) {
        const { holders }: SemaphoreState = await observer.inspect();
        mostHolders = Math.max(mostHolders, holders.length);
        for (const { session } of holders) {
          if (!names.has(session)) {
            names.set(session, (await client.session.info(session)).value?.name);
          }
          heldBy.add(names.get(session));
        }
      }
    };

    const done = new AbortController();
    const observed = observe(done.signal);
    const goLoop = async (): Promise<Ended> => {
      let output = "";
      for (let turn = 0; turn < TURNS; turn += 1) {
        const ended = await consulLock(prefix, { holdMs: 20 });
        output += ended.output;
        if (ended.code !== 0) return { code: ended.code, output };
      }
      return { code: 0, output };
    };
    const nodeLoop = (): Promise<Ended> =>
      run(process.execPath, [
        "--import",
        "tsx",
        join(PROCESSES, "contend-process.ts"),
        inject("consulAddress"),
        prefix,
        String(TURNS * 4),
        "20",
      ]);
    const ended = await Promise.all([
      goLoop(),
      goLoop(),
      goLoop(),
      nodeLoop(),
      nodeLoop(),
      nodeLoop(),
    ]);
    done.abort();
    await observed;

    expect(ended.filter(({ code }) => code !== 0)).toEqual([]);
    const intervals = parseIntervals(
      ended.map(({ output }) => output.replaceAll(/^inside\n/gm, "")).join(""),
    );
    expect(intervals.filter(({ who }) => who === "go")).toHaveLength(3 * TURNS);
    expect(intervals.filter(({ who }) => who === "node")).toHaveLength(3 * TURNS * 4);
    expect(mostAtOnce(intervals)).toBeLessThanOrEqual(LIMIT);
    // They did meet: both slots were in use at once, and each side's holders were seen by ours.
    expect(mostAtOnce(intervals)).toBe(LIMIT);
    expect(mostHolders).toBe(LIMIT);
    expect([...heldBy]).toEqual(expect.arrayContaining(["go", "node"]));
    expect(await observer.inspect()).toMatchObject({ holders: [], waiters: [] });
  },
);

test("runs at once take turns with Go's, and never more than the limit are at work", async () => {
  const prefix = freshPrefix();
  const sem = connect().semaphoreOpts({ prefix, limit: LIMIT, sessionName: prefix });
  const ours: Interval[] = [];
  const runs = Array.from({ length: 20 }, () =>
    sem.run(async () => {
      const entered = process.hrtime.bigint();
      await new Promise((resolve) => setTimeout(resolve, 50));
      ours.push({ who: "node", entered, left: process.hrtime.bigint() });
    }),
  );
  const theirs = Promise.all([1, 2, 3].map(() => consulLock(prefix, { holdMs: 50 })));
  await Promise.all(runs);
  const gos = (await theirs).map(({ code, output }) => {
    expect(code, output).toBe(0);
    return parseIntervals(output.replaceAll(/^inside\n/gm, ""));
  });
  expect(ours).toHaveLength(20);
  expect(mostAtOnce([...ours, ...gos.flat()])).toBe(LIMIT);
});

test("Go is refused where the limit was changed, and goes on with the same as ours", async () => {
  const prefix = freshPrefix();
  const sem = connect().semaphoreOpts({ prefix, limit: 3, adoptLimit: true });
  const slot = await sem.acquire();
  const refused = await consulLock(prefix);
  expect(refused.code).toBe(1);
  expect(refused.output).toContain("semaphore limit conflict (lock: 3, local: 2)");
  await sem.resize(LIMIT);
  expect(await consulLock(prefix)).toMatchObject({ code: 0 });
  expect(slot.held).toBe(true);
  await sem.release();
});
