// Acquires and releases; with the argument "close" it closes its client too.
import { ConsulClient } from "../../../src/index.js";

const [address = "", prefix = "", ending] = process.argv.slice(2);
const client = new ConsulClient({ address });
const semaphore = client.semaphoreOpts({ prefix, limit: 1, sessionName: prefix });
const slot = await semaphore.acquire();
const { held } = slot;
await semaphore.release();
if (ending === "close") await client.close();
process.stdout.write(JSON.stringify({ held }));
