// A pool of workers that download files, with two downloads at a time in the whole fleet. On SIGTERM
// it takes no more work, finishes what is in hand, and puts back what is not done within the grace
// time. A second signal ends it at once.
//
//   npx tsx examples/worker-pool/index.ts FOLDER URL…

import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";

import { ConsulClient, SemaphoreClosedError, SemaphoreLostError } from "consul-semaphore";

const PREFIX = process.env["EXAMPLE_PREFIX"] ?? "examples/worker-pool";
const LIMIT = 2;
const GRACE = process.env["GRACE"] ?? "10s";

// Stands for the queue of a broker; putting back is its "nack".
const [folder = ".", ...queue] = process.argv.slice(2);

const consul = new ConsulClient();
const downloads = consul.semaphoreOpts({ prefix: PREFIX, limit: LIMIT, sessionName: PREFIX });
let isStopping = false;
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, stop);

try {
  await Promise.all(Array.from({ length: LIMIT }, work));
} finally {
  await consul.close();
}
for (const url of queue) console.log(`left ${url}`);

function stop(signal: string): void {
  if (isStopping) process.exit(1);
  isStopping = true;
  console.log(`stopping on ${signal}`);
  void consul.close({ drain: GRACE });
}

async function work(): Promise<void> {
  while (queue.length > 0) {
    try {
      // A job is taken inside the slot, so that none is in hand while a worker waits.
      await downloads.run((slot) => takeJob(slot.signal));
    } catch (error) {
      if (error instanceof SemaphoreClosedError) return;
      if (!(error instanceof SemaphoreLostError)) throw error;
    }
  }
}

async function takeJob(signal: AbortSignal): Promise<void> {
  const url = queue.shift();
  if (url === undefined) return;
  try {
    await download(url, signal);
    console.log(`done ${url}`);
  } catch (error) {
    if (signal.aborted) queue.push(url);
    else process.exitCode = 1;
    console.error(`${signal.aborted ? "put back" : "failed"} ${url}: ${String(error)}`);
  }
}

/** The file has its name only when it is complete. */
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
