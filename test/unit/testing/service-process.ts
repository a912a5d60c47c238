// A service as its users start it: it holds a slot for as long as it can, and says what happens.
import { once } from "node:events";

import { ConsulClient, SemaphoreLostError } from "consul-semaphore";

const consul = new ConsulClient(); // CONSUL_HTTP_ADDR
const slot = await consul.semaphoreOpts({ prefix: "jobs", limit: 1, sessionTTL: "1s" }).acquire();
console.log("holds");
await once(slot.signal, "abort");
const lost: unknown = slot.signal.reason;
console.log(lost instanceof SemaphoreLostError ? lost.reason : lost);
await consul.close();
