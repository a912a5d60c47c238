// `consul-semaphore watch` in processes of its own: lines in a pipe, a screen in a terminal.
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";

import { expect, inject, onTestFinished, test } from "vitest";

import { connect, eventually, freshPrefix } from "../fixture.js";
import { PATIENCE_MS, sourceProgram } from "../program-process.js";
import { Proxy } from "../proxy.js";
import { CliProcess, TerminalProcess } from "./cli-process.js";

/** What the lines say, without their times and sessions. */
function saidIn(lines: readonly string[]): string[] {
  return lines.map((line) =>
    line
      .replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z /, "")
      .replace(/session [\da-f-]{36} on [^\s:]+/, "S")
      .replace(/session [\da-f-]{36}/, "S"),
  );
}

test("a line for each event in a pipe, until a signal ends it", async () => {
  const prefix = freshPrefix();
  const client = connect();
  const contender = (value: string) =>
    client.semaphoreOpts({ prefix, limit: 1, adoptLimit: true, value });
  const watch = new CliProcess(["watch", prefix]);
  await watch.line(/nobody uses this prefix/);
  const first = await contender("web-1:11").acquire();
  await watch.line(/web-1:11, .*: holds a slot/);
  const second = contender("web-2:22").acquire();
  await watch.line(/web-2:22, .*: waits for a slot/);
  const gone = new AbortController();
  const third = contender("")
    .acquire(gone.signal)
    .catch((error: unknown) => error);
  await watch.line(/: waits for a slot \(1 of 1 held, 2 waiting\)/);
  gone.abort();
  await third;
  await watch.line(/has stopped waiting/);
  await contender("").resize(2);
  const { session } = await second;
  await watch.line(/web-2:22, .*: holds a slot/);
  await client.session.destroy(session);
  await watch.line(/web-2:22, .*(?:dead|no longer among|given)/);
  await first.release();
  await watch.line(/web-1:11, .*: has given its slot back/);
  watch.signal("SIGINT");
  const { code, lines } = await watch.ended;

  expect(code).toBe(130);
  const said = saidIn(lines);
  expect(said.slice(0, 6)).toEqual([
    `${prefix}: nobody uses this prefix`,
    "the limit is 1",
    "web-1:11, S: holds a slot (1 of 1 held, 0 waiting)",
    "web-2:22, S: waits for a slot (1 of 1 held, 1 waiting)",
    "S: waits for a slot (1 of 1 held, 2 waiting)",
    "S: has stopped waiting (1 of 1 held, 1 waiting)",
  ]);
  expect(said).toContain("the limit is 2");
});

test("it begins with what is there, and ends quietly with its reader", async () => {
  const prefix = freshPrefix();
  const sem = connect().semaphoreOpts({ prefix, limit: 3, value: "web-1:11" });
  await sem.acquire();
  const program = sourceProgram("src/cli/index.ts").join(" ");
  const command = `${process.execPath} ${program} watch ${prefix} | head -n 1; echo "\${PIPESTATUS[0]}"`;
  const shell = spawn("bash", ["-c", command], {
    env: { ...process.env, CONSUL_HTTP_ADDR: inject("consulAddress") },
  });
  onTestFinished(() => {
    shell.kill("SIGKILL");
  });
  let isOver = false;
  shell.once("exit", () => {
    isOver = true;
  });
  const output = Promise.all([text(shell.stdout), text(shell.stderr)]);
  // That nobody reads any more shows when there is something to write.
  await eventually(
    async () => {
      await sem.run(() => undefined);
      return isOver;
    },
    (over) => over,
    PATIENCE_MS,
  );
  const [written, errors] = await output;
  expect(written).toMatch(/: [12] of 3 slots held, 0 waiting\n141\n$/);
  expect(errors).toBe("");
});

test("an outage does not end it", async () => {
  const prefix = freshPrefix();
  const proxy = await Proxy.start();
  const watch = new CliProcess(["watch", prefix, `-http-addr=${proxy.address}`]);
  await watch.line(/nobody uses this prefix/);
  proxy.afflict("fail");
  proxy.cut();
  await watch.line(/; trying again$/);
  proxy.heal();
  await watch.line(/Consul answers again/);
  await connect().semaphorePrefix(prefix, 1).acquire();
  await watch.line(/: holds a slot/);
  watch.signal("SIGTERM");
  const { code, lines } = await watch.ended;
  expect(code).toBe(143);
  expect(lines.filter((line) => line.endsWith("; trying again"))).toHaveLength(1);
});

test("a permission that is missing ends it with 77", async () => {
  const proxy = await Proxy.start();
  proxy.afflict("refuse");
  const watch = new CliProcess(["watch", "test/denied", `-http-addr=${proxy.address}`]);
  const { code, lines } = await watch.ended;
  expect({ code, count: lines.length }).toEqual({ code: 77, count: 1 });
});

// Terminals have lines that are drawn over.
const ENTER = "\u001b[?1049h";
const LEAVE = "\u001b[?1049l";
// eslint-disable-next-line no-control-regex -- they are what steers a terminal
const STEERING = /\u001b\[[?\d]*[A-Za-z]/g;

test("in a terminal it draws a screen, which it leaves as it was with the last picture", async () => {
  const prefix = freshPrefix();
  const client = connect();
  const contender = (value: string) => client.semaphoreOpts({ prefix, limit: 1, value });
  const slot = await contender("web-1:11").acquire();
  const waiting = contender("web-2:22").acquire();
  const watch = new TerminalProcess(["watch", prefix], { LC_ALL: "C.UTF-8", NO_COLOR: "" });
  await watch.line(/1 of 1 slots held, 1 waiting/);
  const from = watch.lineCount;
  await slot.release();
  await waiting;
  await watch.line(/1 of 1 slots held, 0 waiting/, from);
  await watch.line(/web-1:11 .*▇/, from);
  watch.write("\u0003");
  const { code, lines } = await watch.ended;

  expect(code).toBe(130);
  const output = lines.join("\n");
  expect(output.split(ENTER)).toHaveLength(2);
  const [drawn = "", last = ""] = output.split(LEAVE);
  expect(drawn).toContain("WAITERS, IN ORDER");
  expect(last).toMatch(/1 of 1 slots held, 0 waiting\n[^]*HOLDERS[^]*web-2:22[^]*web-1:11 .*▇/);
  expect(last).toContain("▇ holds");
  const shown = output.replaceAll("\u001b[H", "\n").replaceAll(STEERING, "");
  expect(shown.split(/[\r\n]+/).filter((line) => line.length > 100)).toEqual([]);
});

test("a terminal that cannot be drawn on has lines", async () => {
  const prefix = freshPrefix();
  const watch = new TerminalProcess(["watch", prefix], { TERM: "dumb" });
  await watch.line(/nobody uses this prefix/);
  watch.write("\u0003");
  const { code, lines } = await watch.ended;
  expect(code).toBe(130);
  expect(lines.join("\n")).not.toContain("\u001b");
});
