// `consul-semaphore run` in processes of its own, against the real Consul.
import { setTimeout as pause } from "node:timers/promises";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { beforeAll, describe, expect, inject, onTestFinished, test } from "vitest";

import { consulCli } from "../../harness/consul-cli.js";
import { freePorts } from "../../harness/free-ports.js";
import {
  connect,
  consul,
  eventually,
  expectNothingLeft,
  freshPrefix,
  keysBelow,
} from "../fixture.js";
import { mostAtOnce, parseIntervals } from "../intervals.js";
import { freshFolder } from "../own-agent.js";
import { ProgramProcess } from "../program-process.js";
import { Proxy } from "../proxy.js";
import { cli, CliProcess, TerminalProcess } from "./cli-process.js";

/** The command line for a shell script in a slot. */
function running(prefix: string, script: string, ...options: string[]): string[] {
  return ["run", prefix, "-n", "1", ...options, "--", "sh", "-c", script];
}

/** Says so when it runs, and what signals it gets; ends with 0 on SIGTERM and with the second line. */
const TRAPS = ["HUP", "INT", "USR2"].map((name) => `trap 'echo got ${name}' ${name};`).join(" ");
const OBEDIENT = `trap 'echo got TERM; exit 0' TERM; ${TRAPS} echo ready; while :; do sleep 0.1; done`;
const STUBBORN = `trap 'echo got TERM' TERM; echo ready; while :; do sleep 0.1; done`;

async function endSessionOfHolder(prefix: string): Promise<void> {
  const client = connect();
  const { holders } = await client.semaphorePrefix(prefix, 1).inspect();
  expect(holders).toHaveLength(1);
  for (const { session } of holders) await client.session.destroy(session);
}

/** A slot of the test's own, so that others wait. */
async function occupy(prefix: string): Promise<() => Promise<void>> {
  const slot = await connect().semaphorePrefix(prefix, 1).acquire();
  return () => slot.release();
}

async function untilWaiting(prefix: string): Promise<void> {
  const observer = connect().semaphorePrefix(prefix, 1);
  await eventually(
    () => observer.inspect(),
    ({ waiters }) => waiters.length === 1,
  );
}

describe("the command", () => {
  test("has a slot, its token, the input and the output, and its code is ours", async () => {
    const prefix = freshPrefix();
    const script = 'sleep 0.2; read line; echo "$line $CONSUL_SEMAPHORE_FENCING_TOKEN"; exit 3';
    const run = new CliProcess(running(prefix, script));
    const observer = connect().semaphorePrefix(prefix, 1);
    const { holders } = await eventually(
      () => observer.inspect(),
      (state) => state.holders.length === 1,
    );
    expect(Buffer.from(holders[0]?.value ?? []).toString()).toMatch(/^.+:\d+ sh$/);
    const [, entry] = await connect()
      .kv.list(`${prefix}/`)
      .then(({ value }) => value);
    // The input is still to come when it is read: who only looks whether there is some gets none.
    await pause(500);
    run.write("hello\n");
    const { code, lines } = await run.ended;
    // The write that made it a holder is the last one to its contender entry.
    expect(lines).toEqual([`hello ${entry?.modifyIndex}`]);
    expect(code).toBe(3);
    await expectNothingLeft(prefix);
  });

  test.each([
    [
      "has no program",
      ["consul-semaphore-nope"],
      127,
      /cannot run "consul-semaphore-nope" \(ENOENT\)/,
    ],
    ["cannot be executed", ["./package.json"], 126, /cannot run ".\/package.json" \(EACCES\)/],
    ["is below a file", ["./package.json/x"], 126, /cannot run ".\/package.json\/x" \(ENOTDIR\)/],
  ])("that %s ends it as in a shell, and the slot is free", async (_, program, code, problem) => {
    const prefix = freshPrefix();
    const ended = await cli(["run", prefix, "-n", "1", "--", ...program]);
    expect(ended).toMatchObject({ code, lines: [expect.stringMatching(problem)] });
    await expectNothingLeft(prefix);
  });

  test("that dies of a signal has the code that a shell gives it", async () => {
    const prefix = freshPrefix();
    expect(await cli(running(prefix, "kill -KILL $$"))).toMatchObject({ code: 137, lines: [] });
    await expectNothingLeft(prefix);
  });

  test("is handed the signals, and decides itself when to end", async () => {
    const prefix = freshPrefix();
    const run = new CliProcess(running(prefix, OBEDIENT));
    await run.line(/^ready$/);
    for (const [signal, line] of [
      ["SIGHUP", /^got HUP$/],
      ["SIGINT", /^got INT$/],
      ["SIGUSR2", /^got USR2$/],
      ["SIGTERM", /^got TERM$/],
    ] as const) {
      run.signal(signal);
      await run.line(line);
    }
    expect(await run.ended).toMatchObject({ code: 0 });
    await expectNothingLeft(prefix);
  });

  test("gets Ctrl-C once in a terminal, which sends it to both", async () => {
    const prefix = freshPrefix();
    // A shell would take two signals that come at once for one.
    const program =
      'process.on("SIGINT", () => console.log("got INT")); process.on("SIGTERM", () => process.exit());' +
      'setInterval(() => {}, 1000); console.log("ready")';
    const args = ["run", prefix, "-n", "1", "--", process.execPath, "-e", program];
    const run = new TerminalProcess(args);
    await run.line(/^ready/);
    const times = 5;
    for (let time = 0; time < times; time += 1) {
      const from = run.lineCount;
      run.write("\u0003");
      await run.line(/got INT/, from);
    }
    await endSessionOfHolder(prefix);
    const { code, lines } = await run.ended;
    expect(lines.filter((line) => line.includes("got INT"))).toHaveLength(times);
    expect(code).toBe(76);
  });
});

describe("when the slot is lost, the command", () => {
  test("gets SIGTERM, and its own code does not count", async () => {
    const prefix = freshPrefix();
    const run = new CliProcess(running(prefix, OBEDIENT));
    await run.line(/^ready$/);
    await endSessionOfHolder(prefix);
    const { code, lines } = await run.ended;
    expect(code).toBe(76);
    expect(lines).toContain("got TERM");
    expect(lines.filter((line) => line.startsWith("consul-semaphore: "))).toEqual([
      expect.stringMatching(/Semaphore slot lost: .*; stopping the command$/),
    ]);
    await expectNothingLeft(prefix);
  });

  test("gets SIGKILL after the grace time", async () => {
    const prefix = freshPrefix();
    const run = new CliProcess(running(prefix, STUBBORN, "--grace", "300ms"));
    await run.line(/^ready$/);
    await endSessionOfHolder(prefix);
    await run.line(/^got TERM$/);
    expect(await run.ended).toMatchObject({ code: 76 });
    await expectNothingLeft(prefix);
  });
});

describe("without a slot", () => {
  test.each([
    [["--try"], /no slot of ".*" within 0s: 1 of 1 held/],
    [["--timeout", "300ms"], /no slot of ".*" within 300ms: 1 of 1 held, 0 ahead/],
  ])("in time, %j ends it with 75", async (options, problem) => {
    const prefix = freshPrefix();
    await occupy(prefix);
    const ended = await cli(running(prefix, "echo ran", ...options));
    expect(ended).toMatchObject({ code: 75, lines: [expect.stringMatching(problem)] });
    expect(await keysBelow(prefix)).toHaveLength(2);
  });

  test("a signal ends the wait, and it leaves the queue", async () => {
    const prefix = freshPrefix();
    const release = await occupy(prefix);
    const run = new CliProcess(running(prefix, "echo ran"));
    await untilWaiting(prefix);
    run.signal("SIGTERM");
    expect(await run.ended).toMatchObject({
      ...{ code: 143, lines: ["consul-semaphore: ended by SIGTERM"] },
    });
    await release();
    expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`]);
  });

  test("a second signal does not wait for Consul", async () => {
    const prefix = freshPrefix();
    await occupy(prefix);
    const proxy = await Proxy.start();
    const args = running(prefix, "echo ran", `--http-addr=${proxy.address}`);
    const run = new CliProcess(args);
    await untilWaiting(prefix);
    proxy.afflict("hang");
    run.signal("SIGTERM");
    // Its way out hangs; what it ends with then is no word of its own.
    await eventually(
      () => Promise.resolve(proxy.requests.at(-1)),
      (last) => last?.method !== "GET" && !last?.path.includes("renew"),
    );
    await new Promise((resolve) => setTimeout(resolve, 600));
    run.signal("SIGTERM");
    expect(await run.ended).toMatchObject({ code: 143, lines: [] });
  });

  test("another limit is refused with 77, unless it is adopted", async () => {
    const prefix = freshPrefix();
    expect(await cli(["resize", prefix, "2"])).toMatchObject({
      ...{ code: 0, lines: [`the limit of "${prefix}" is 2`] },
    });
    const refused = await cli(running(prefix, "echo ran"));
    expect(refused.code).toBe(77);
    expect(refused.lines.join()).toContain("is 2, not 1: use it, or --adopt-limit, or resize");
    expect(await cli(running(prefix, "echo ran", "--adopt-limit"))).toMatchObject({
      ...{ code: 0, lines: ["ran"] },
    });
  });

  test("no Consul means 69, at once", async () => {
    const [port = 0] = await freePorts(1);
    const args = running("test/nowhere", "echo ran", `-http-addr=127.0.0.1:${port}`);
    const { code, lines } = await cli(args);
    expect({ code, count: lines.length }).toEqual({ code: 69, count: 1 });
    expect(lines[0]).toContain("that of --http-addr or CONSUL_HTTP_ADDR");
  });
});

test("what a release that fails says does not hide the command's code", async () => {
  const prefix = freshPrefix();
  const proxy = await Proxy.start();
  const run = new CliProcess(running(prefix, "echo ready; read line; exit 3", "--ttl=10s"), {
    CONSUL_HTTP_ADDR: proxy.address,
  });
  await run.line(/^ready$/);
  proxy.afflict("refuse", "leave");
  run.write("\n");
  const { code, lines } = await run.ended;
  expect(code).toBe(3);
  expect(lines.at(-1)).toMatch(
    /^consul-semaphore: the command has ended, but failed to update lock/,
  );
});

test("a token is shown in no error", async () => {
  const proxy = await Proxy.start();
  proxy.afflict("refuse");
  const folder = await freshFolder(onTestFinished);
  const file = join(folder, "token");
  await writeFile(file, "SECRET-IN-FILE\n");
  const address = `-http-addr=${proxy.address}`;
  for (const option of ["--token=SECRET", `--token-file=${file}`]) {
    const { code, lines } = await cli(["inspect", "test/denied", address, option]);
    expect({ code, count: lines.length }).toEqual({ code: 77, count: 1 });
    expect(lines[0]).not.toContain("SECRET");
  }
});

describe("beside consul lock", () => {
  let binary: string;
  beforeAll(async () => {
    binary = await consulCli();
  }, 300_000);

  const TURN = [
    ...[process.execPath, "test/integration/processes/hold-under-consul-lock-process.mjs"],
  ];

  test("never more than the limit are at work, and all have their turns", async () => {
    const prefix = freshPrefix();
    const address = `-http-addr=${inject("consulAddress")}`;
    const go = ["lock", address, "-shell=false", "-n=2", prefix, ...TURN, "200"];
    const ours = ["run", prefix, "-n=2", "--", ...TURN, "200"];
    const programs = [1, 2, 3].flatMap(() => [
      new ProgramProcess(binary, go),
      new CliProcess(ours),
    ]);
    const ends = await Promise.all(programs.map(({ ended }) => ended));
    expect(ends.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0, 0]);
    const output = ends.flatMap(({ lines }) => lines.filter((line) => line.startsWith("go ")));
    const intervals = parseIntervals(output.join("\n"));
    expect(intervals).toHaveLength(6);
    expect(mostAtOnce(intervals)).toBe(2);
    await consul("DELETE", `/v1/kv/${prefix}?recurse`);
  });

  test("a Go holder is waited for", async () => {
    const prefix = freshPrefix();
    const folder = await freshFolder(onTestFinished);
    const script = join(folder, "hold.sh");
    await writeFile(script, "#!/bin/sh\necho inside\nread line\n");
    await chmod(script, 0o755);
    const address = `-http-addr=${inject("consulAddress")}`;
    const options = ["-shell=false", "-n=2", "-pass-stdin"];
    const hold = () => new ProgramProcess(binary, ["lock", address, ...options, prefix, script]);
    const holders = [hold(), hold()];
    for (const holder of holders) await holder.line(/^inside$/);
    const refused = await cli(["run", prefix, "-n", "2", "--try", "--", "true"]);
    expect(refused.code).toBe(75);
    const waiter = new CliProcess(["run", prefix, "-n", "2", "--", "echo", "ran"]);
    await untilWaiting(prefix);
    for (const holder of holders) holder.write("\n");
    expect(await waiter.ended).toMatchObject({ code: 0, lines: ["ran"] });
    for (const holder of holders) expect((await holder.ended).code).toBe(0);
  });
});
