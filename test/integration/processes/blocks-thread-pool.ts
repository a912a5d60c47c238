// Holds a slot while all threads of libuv's pool are blocked: blocks-thread-pool.ts ADDRESS PREFIX HOLD_MS
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, open, openSync, rmSync } from "node:fs";
import { lookup } from "node:dns";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { ConsulClient } from "../../../src/index.js";

const [address = "", prefix = "", holdMs = ""] = process.argv.slice(2);

/** Blocks the threads as a hung mount does, until the result is called. */
function blockThreadPool(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "consul-semaphore-"));
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  // To open one end of a pipe waits for somebody at the other.
  for (let thread = 0; thread < 4; thread += 1) {
    open(pipe, "r", (_, file) => {
      closeSync(file);
    });
  }
  return () => {
    closeSync(openSync(pipe, "w"));
    rmSync(folder, { recursive: true });
  };
}

const client = new ConsulClient({ address });
const semaphore = client.semaphoreOpts({ prefix, limit: 1, sessionTTL: "10s" });
const slot = await semaphore.acquire();
const unblock = blockThreadPool();
let isLookedUp = false;
lookup("localhost", () => {
  isLookedUp = true;
});
await sleep(Number(holdMs));
const outcome = { isLookedUp, loss: slot.signal.aborted ? String(slot.signal.reason) : undefined };
unblock();
await client.close();
process.stdout.write(JSON.stringify(outcome));
