// Closes its client with a slot still held, as one does who forgets the release.
import { ConsulClient } from "../../../src/index.js";

const [address = "", prefix = ""] = process.argv.slice(2);
const client = new ConsulClient({ address });
const slot = await client.semaphorePrefix(prefix, 1).acquire();
await client.close();
process.stdout.write(JSON.stringify({ held: slot.held, reason: String(slot.signal.reason) }));
