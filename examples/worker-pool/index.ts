// A pool of workers that download files, of which only two are at work at a time in the whole fleet.
// On SIGTERM it takes no more work, gives what is in hand a grace time to end, breaks off the rest
// and closes the client; a second signal ends it at once.
//
//   npx tsx examples/worker-pool/index.ts FOLDER URL…

import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";

import { ConsulClient, SemaphoreLostError } from "consul-semaphore";

const PREFIX = process.env["EXAMPLE_PREFIX"] ?? "examples/worker-pool";
const LIMIT = 2;
const WORKERS = 4;
const GRACE_MS = Number(process.env["GRACE_MS"] ?? 10_000);

// Stands for the queue of a broker; putting back is its "nack".
const [folder = ".", ...queue] = process.argv.slice(2);

const stopping = new AbortController();
const graceOver = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, stop);

const consul = new ConsulClient();
try {
  await Promise.all(Array.from({ length: WORKERS }, work));
} finally {
  await consul.close();
}
for (const url of queue) console.log(`left ${url}`);

function stop(signal: string): void {
  if (stopping.signal.aborted) process.exit(1);
  console.log(`stopping on ${signal}`);
  stopping.abort(new Error(signal));
  setTimeout(() => {
    graceOver.abort(new Error(`not done within ${GRACE_MS} ms of ${signal}`));
  }, GRACE_MS).unref();
}

async function work(): Promise<void> {
  const semaphore = consul.semaphoreOpts({ prefix: PREFIX, limit: LIMIT, sessionName: PREFIX });
  while (queue.length > 0 && !stopping.signal.aborted) {
    try {
      // Work is taken in the slot, so that nobody has any in hand while waiting for one.
      await semaphore.run((slot) => takeJob(slot.signal), stopping.signal);
    } catch (error) {
      if (error === stopping.signal.reason) return;
      if (!(error instanceof SemaphoreLostError)) throw error;
    }
  }
}

async function takeJob(slotSignal: AbortSignal): Promise<void> {
  const url = queue.shift();
  if (url === undefined) return;
  const signal = AbortSignal.any([slotSignal, graceOver.signal]);
  try {
    await download(url, signal);
    console.log(`done ${url}`);
  } catch (error) {
    if (signal.aborted) queue.push(url);
    else process.exitCode = 1;
    console.error(`${signal.aborted ? "put back" : "failed"} ${url}: ${String(error)}`);
  }
}

/** There under its name when it is complete; otherwise there is nothing. */
async function download(url: string, signal: AbortSignal): Promise<void> {
  const file = join(folder, basename(new URL(url).pathname));
  const part = `${file}.part`;
  try {
    const { body, ok, status } = await fetch(url, { signal });
    if (!ok || body === null) throw new Error(`status ${status}`);
    await pipeline(body, createWriteStream(part), { signal });
    signal.throwIfAborted();
    await rename(part, file);
  } finally {
    await rm(part, { force: true });
  }
}
