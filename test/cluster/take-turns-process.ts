// Takes turns in a semaphore with limit 2 until SIGTERM, and prints notices of them:
// take-turns-process.ts ADDRESS PREFIX HOLD_FILE
//
// A turn is short, unless HOLD_FILE is there: then it lasts until that is gone, or the slot.
import { existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

import { ConsulClient, SemaphoreLostError, type SemaphoreSlot } from "../../src/index.js";
import { formatNotice, type Notice } from "./turn.js";

const [address = "", prefix = "", holdFile = ""] = process.argv.slice(2);
const client = new ConsulClient({ address });
const semaphore = client.semaphoreOpts({ prefix, limit: 2, sessionName: prefix });

const stop = new AbortController();
process.once("SIGTERM", () => {
  stop.abort();
});

// A parent that was killed cannot say so, but its end of this pipe closes.
process.stdin.on("close", () => process.exit(1));
process.stdin.resume().unref();

function tell(notice: Notice): void {
  console.log(formatNotice(notice));
}

function tellRefusal(call: string, error: unknown): void {
  tell({ event: "refused", call, message: String(error) });
}

async function takeTurn(slot: SemaphoreSlot): Promise<void> {
  const entered = process.hrtime.bigint();
  let left: bigint | undefined;
  const leave = (): void => {
    left ??= process.hrtime.bigint();
  };
  const { signal } = slot;
  signal.addEventListener("abort", leave);
  if (signal.aborted) leave();
  tell({ event: "entered" });
  await pause(50 + 100 * Math.random());
  while (!signal.aborted && existsSync(holdFile)) await pause(20);
  leave();
  const reason: unknown = slot.held ? undefined : signal.reason;
  await semaphore.release().catch((error: unknown) => {
    tellRefusal("release", error);
  });
  tell({
    event: "turn",
    entered,
    left: left ?? entered,
    token: slot.fencingToken,
    lost: reason instanceof SemaphoreLostError ? reason.reason : null,
  });
}

while (!stop.signal.aborted) {
  try {
    await takeTurn(await semaphore.acquire());
  } catch (error) {
    tellRefusal("acquire", error);
    await pause(200);
  }
  await pause(50 * Math.random());
}
await client.close();
