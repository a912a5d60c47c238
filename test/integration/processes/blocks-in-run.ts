// Blocks its event loop inside `run`: blocks-in-run.ts ADDRESS PREFIX BLOCK_MS
import { ConsulClient, SemaphoreLostError } from "../../../src/index.js";
import { blockEventLoop } from "./block-event-loop.js";

const [address = "", prefix = "", blockMs = ""] = process.argv.slice(2);
const client = new ConsulClient({ address });
const semaphore = client.semaphoreOpts({ prefix, limit: 1, sessionTTL: "2s" });
const outcome = await semaphore
  .run(() => {
    blockEventLoop(Number(blockMs));
    return "as if nothing had happened";
  })
  .catch((error: unknown) =>
    error instanceof SemaphoreLostError ? `lost: ${error.reason}` : String(error),
  );
const { isHeld } = semaphore;
await client.close();
process.stdout.write(JSON.stringify({ outcome, isHeld }));
