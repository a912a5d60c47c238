// Contenders of this library, each a semaphore of its own, of one client.
import { ConsulClient } from "../../src/index.js";
import { carryOut } from "./carry-out.js";
import { parseLoad } from "./load.js";

const load = parseLoad(process.argv.slice(2));
const consul = new ConsulClient({ address: load.address });

await carryOut(
  load,
  () => {
    const semaphore = consul.semaphorePrefix(load.prefix, load.limit);
    return {
      enter: async () => Number((await semaphore.acquire()).fencingToken),
      leave: () => semaphore.release(),
    };
  },
  () => consul.close(),
);
