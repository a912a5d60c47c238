// Contenders of this library, each a run of one semaphore that all of them share.
import { ConsulClient } from "../../src/index.js";
import { carryOut } from "./carry-out.js";
import { parseLoad } from "./load.js";

const load = parseLoad(process.argv.slice(2));
const consul = new ConsulClient({ address: load.address });
const semaphore = consul.semaphorePrefix(load.prefix, load.limit);

await carryOut(
  load,
  () => {
    let leave = (): void => undefined;
    let running: Promise<void> = Promise.resolve();
    return {
      enter: () =>
        new Promise((entered, failed) => {
          running = semaphore.run(async ({ fencingToken }) => {
            const left = new Promise<void>((resolve) => {
              leave = resolve;
            });
            entered(Number(fencingToken));
            await left;
          });
          running.catch(failed);
        }),
      leave: async () => {
        leave();
        await running;
      },
    };
  },
  () => consul.close(),
);
