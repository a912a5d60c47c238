// Acquires a slot, prints its session, and dies at once: dies-while-holding.ts ADDRESS OPTIONS
import { writeSync } from "node:fs";

import { z } from "zod";

import { ConsulClient } from "../../../src/index.js";

const optionsSchema = z.object({
  prefix: z.string(),
  limit: z.int(),
  sessionTTL: z.string(),
  sessionNode: z.string(),
});

const [address = "", options = ""] = process.argv.slice(2);
const semaphore = new ConsulClient({ address }).semaphoreOpts(
  optionsSchema.parse(JSON.parse(options)),
);
const { session } = await semaphore.acquire();
writeSync(1, session);
process.kill(process.pid, "SIGKILL");
