import { execFileSync } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { rootCertificates } from "node:tls";

import { afterEach, beforeEach, expect, test } from "vitest";

import { TlsFiles } from "../../../../src/consul/config/tls-files.js";

const [first = "", second = ""] = rootCertificates;
/** Threads that look at files, at most, as Node has them. */
const THREADS = Number(process.env["UV_THREADPOOL_SIZE"] ?? 4);

let folder: string;
const at = (name: string): string => path.join(folder, name);

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tls-files-"));
  await mkdir(at("authorities"));
  await writeFile(at("ca.pem"), first);
  await writeFile(at("authorities/1.pem"), first);
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

function pipeAt(name: string): string {
  execFileSync("mkfifo", [at(name)]);
  return at(name);
}

const authorities = async (files: TlsFiles): Promise<unknown> => (await files.current()).ca;

/** A look at the files may be late on a busy machine, and counts for the next time then. */
async function expectSoon(files: TlsFiles, ...ca: readonly string[]): Promise<void> {
  await expect.poll(() => authorities(files), { timeout: 30_000 }).toEqual(ca);
}

async function expectUnusable(files: TlsFiles, problem: RegExp): Promise<void> {
  const look = async (): Promise<string> => {
    await files.current();
    return files.description;
  };
  await expect.poll(look, { timeout: 30_000 }).toMatch(/; not as they are now: /);
  expect(files.description).toMatch(problem);
}

/** Lets those who open a pipe to read from it find that there is nothing in it. */
function endOf(pipe: string): void {
  try {
    closeSync(openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK));
  } catch {
    // Nobody has opened it yet, or nobody does any more.
  }
}

test("what has not changed is the same object, for which a connector is kept", async () => {
  const files = new TlsFiles({ caFile: at("ca.pem") }, {});
  const before = await files.current();
  expect(before.ca).toEqual([first]);
  expect(await files.current()).toBe(before);
});

test("a file is read again that has changed, also to one of the same size and time", async () => {
  const size = Math.max(first.length, second.length);
  await writeFile(at("ca.pem"), first.padEnd(size));
  const { atime, mtime } = await stat(at("ca.pem"));
  const files = new TlsFiles({}, { CONSUL_CACERT: at("ca.pem") });
  await files.current();
  await writeFile(at("next"), second.padEnd(size));
  await utimes(at("next"), atime, mtime);
  await rename(at("next"), at("ca.pem"));
  await expectSoon(files, second.padEnd(size));
});

test("a folder is read again where a file has come or gone", async () => {
  const files = new TlsFiles({ caPath: at("authorities") }, {});
  await mkdir(at("authorities/more"));
  await writeFile(at("authorities/more/2.pem"), second);
  await expectSoon(files, first, second);
  await rm(at("authorities/1.pem"));
  await expectSoon(files, second);
});

test.each([
  ["is gone", () => rm(at("ca.pem")), /ENOENT/],
  ["is empty", () => writeFile(at("ca.pem"), ""), /contains no PEM certificate/],
  [
    "is half written",
    () => writeFile(at("ca.pem"), second.slice(0, -60)),
    /contains no PEM certificate/,
  ],
  [
    "is a pipe, which nobody writes to",
    async () => rename(pipeAt("pipe"), at("ca.pem")),
    /is no regular file/,
  ],
])("while a file %s, the last counts, and why is told", async (_, spoil, problem) => {
  const files = new TlsFiles({ caFile: at("ca.pem") }, {});
  await files.current();
  const inUse = new RegExp(`^in use: tls\\.caFile ${at("ca.pem")}, as read at [-0-9T:.]+Z$`);
  expect(files.description).toMatch(inUse);
  await spoil();
  await expectUnusable(files, problem);
  expect(await authorities(files)).toEqual([first]);
  await writeFile(at("next"), second);
  await rename(at("next"), at("ca.pem"));
  await expectSoon(files, second);
  expect(files.description).toMatch(inUse);
});

test("a file that was as before after it was spoilt is in use again", async () => {
  const files = new TlsFiles({ caFile: at("ca.pem") }, {});
  await files.current();
  await rename(at("ca.pem"), at("aside"));
  await expectUnusable(files, /ENOENT/);
  await rename(at("aside"), at("ca.pem"));
  await expect
    .poll(() => files.current().then(() => files.description), { timeout: 30_000 })
    .not.toContain("not as they are now");
  expect(await authorities(files)).toEqual([first]);
});

test("while all threads are busy, the last counts, and what was asked for comes later", async () => {
  const pipe = pipeAt("pipe");
  const files = new TlsFiles({ caFile: at("ca.pem") }, {});
  await files.current();
  await writeFile(at("ca.pem"), second);
  const busy = Array.from({ length: THREADS }, () => readFile(pipe));
  try {
    expect(await authorities(files)).toEqual([first]);
    expect(await authorities(files)).toEqual([first]);
  } finally {
    const ending = setInterval(endOf, 10, pipe);
    await Promise.all(busy);
    clearInterval(ending);
  }
  await expectSoon(files, second);
});

test("where no files are in use, there is nothing to tell", async () => {
  const files = new TlsFiles({ ca: first }, {});
  expect(await authorities(files)).toEqual([first]);
  expect(files.description).toBe("");
});
