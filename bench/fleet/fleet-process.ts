// Contenders of this library, each with a client of its own, as if each were a process of its own.
import { Pool } from "undici";

import { ConsulClient, type SemaphoreSlot } from "../../src/index.js";
import { parseLoad } from "../load/load.js";
import { reportFleet, type FleetContender } from "./report-fleet.js";
import { TrafficCounter } from "./traffic-counter.js";

const load = parseLoad(process.argv.slice(2));
const counter = load.count === true ? new TrafficCounter() : undefined;

await reportFleet(load, newContender, counter && (() => counter.total));

function newContender(): FleetContender {
  const semaphore = newClient().semaphorePrefix(load.prefix, load.limit);
  let slot: SemaphoreSlot | undefined;
  return {
    acquire: async () => {
      slot = await semaphore.acquire();
    },
    release: async () => {
      slot?.signal.throwIfAborted();
      await slot?.release();
    },
  };
}

function newClient(): ConsulClient {
  const { address } = load;
  if (counter === undefined) return new ConsulClient({ address });
  const dispatcher = new Pool(`http://${address}`).compose(counter.interceptor);
  return new ConsulClient({ address, dispatcher });
}
