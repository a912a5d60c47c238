import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import { expect, onTestFinished, test } from "vitest";

import { eventually, expectNothingLeft, freshPrefix } from "../fixture.js";
import { freshFolder } from "../own-agent.js";
import { ExampleProcess, PATIENCE_MS } from "./example-process.js";
import { answerTo, SlowServer } from "./slow-server.js";

const LIMIT = 2;
const PATHS = ["/a", "/b", "/c", "/d", "/e"];

interface Pool {
  readonly process: ExampleProcess;
  readonly prefix: string;
  readonly server: SlowServer;
  /** The files that it has made. */
  readonly files: () => Promise<Record<string, string>>;
}

/** A pool with two downloads in hand, half done. */
async function busyPool(grace = "10m"): Promise<Pool> {
  const prefix = freshPrefix();
  const server = await SlowServer.start();
  const folder = await freshFolder(onTestFinished);
  const files = async (): Promise<Record<string, string>> => {
    const contents: Record<string, string> = {};
    for (const name of await readdir(folder)) {
      contents[name] = await readFile(join(folder, name), "utf8");
    }
    return contents;
  };
  const pool = new ExampleProcess(
    "worker-pool",
    [folder, ...PATHS.map((path) => server.url(path))],
    { EXAMPLE_PREFIX: prefix, GRACE: grace },
  );
  await eventually(
    () => readdir(folder),
    (parts) => parts.length === LIMIT,
    PATIENCE_MS,
  );
  return { process: pool, prefix, server, files };
}

test("without a signal the pool does all its work, two at a time", async () => {
  const { process: pool, prefix, server, files } = await busyPool();
  server.answerFromNowOn();
  expect(await pool.ended).toMatchObject({ code: 0 });
  expect(await files()).toEqual(
    Object.fromEntries(PATHS.map((path) => [path.slice(1), answerTo(path)])),
  );
  expect(server.mostAtOnce).toBe(LIMIT);
  await expectNothingLeft(prefix);
});

test("on SIGTERM the pool finishes what is in hand, takes no more, and ends in order", async () => {
  const { process: pool, prefix, server, files } = await busyPool();
  pool.signal("SIGTERM");
  await pool.line(/^stopping/);
  server.answerFromNowOn();

  const { code, lines } = await pool.ended;

  expect(code).toBe(0);
  expect(await files()).toEqual({ a: answerTo("/a"), b: answerTo("/b") });
  expect(server.asked).toHaveLength(LIMIT);
  expect(lines.slice(-3)).toEqual(["/c", "/d", "/e"].map((path) => `left ${server.url(path)}`));
  await expectNothingLeft(prefix);
});

test("what is not done when the grace time is over is broken off and left for others", async () => {
  const { process: pool, prefix, server, files } = await busyPool("200ms");
  pool.signal("SIGTERM");

  const { code, lines } = await pool.ended;

  expect(code).toBe(0);
  expect(await files()).toEqual({});
  expect(server.asked).toHaveLength(LIMIT);
  const left = lines.filter((line) => line.startsWith("left "));
  expect(left.sort()).toEqual(PATHS.map((path) => `left ${server.url(path)}`));
  await expectNothingLeft(prefix);
});

test("a second signal ends the process at once", async () => {
  const { process: pool, server, files } = await busyPool();
  pool.signal("SIGTERM");
  await pool.line(/^stopping/);
  pool.signal("SIGTERM");

  const { code, lines } = await pool.ended;

  expect({ code, lines }).toEqual({ code: 1, lines: ["stopping on SIGTERM"] });
  // Nothing passes for complete that is not.
  expect(Object.keys(await files()).sort()).toEqual(["a.part", "b.part"]);
  expect(server.asked).toHaveLength(LIMIT);
});
