// Takes turns in a semaphore with limit 2 and prints an interval for each:
// contend-process.ts ADDRESS PREFIX TURNS HOLD_MS
import { ConsulClient } from "../../../src/index.js";

const [address, prefix = "", turns, holdMs] = process.argv.slice(2);
const client = new ConsulClient({ address });
const sem = client.semaphoreOpts({ prefix, limit: 2, sessionName: "node" });
for (let turn = 0; turn < Number(turns); turn += 1) {
  await sem.run(async (slot) => {
    const entered = process.hrtime.bigint();
    await new Promise((resolve) => setTimeout(resolve, Number(holdMs)));
    if (!slot.held) throw new Error(`the slot was lost: ${String(slot.signal.reason)}`);
    console.log(`node ${entered} ${process.hrtime.bigint()}`);
  });
}
await client.close();
