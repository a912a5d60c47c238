// Two KV writes, before and after the hold: what a turn would take that needed nothing else. Where
// many contend, they queue in memory: no two writes of a semaphore can wait for less.
import { Pool } from "undici";

import { carryOut } from "./carry-out.js";
import { parseLoad } from "./load.js";
import { QueueInMemory } from "./queue-in-memory.js";

const load = parseLoad(process.argv.slice(2));
const pool = new Pool(`http://${load.address}`, { connections: load.limit });
const queue = new QueueInMemory(load.limit);

async function write(): Promise<void> {
  const path = `/v1/kv/${load.prefix}`;
  const { statusCode, body } = await pool.request({ method: "PUT", path, body: "{}" });
  const answer = await body.text();
  if (statusCode !== 200) throw new Error(`PUT ${path} was answered with ${statusCode}: ${answer}`);
}

await carryOut(
  load,
  () => ({
    enter: async () => {
      await queue.enter();
      await write();
      return null;
    },
    leave: async () => {
      await write();
      queue.leave();
    },
  }),
  () => pool.close(),
);
