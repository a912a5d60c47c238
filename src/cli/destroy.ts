import type { ConsulClient } from "consul-semaphore";

import type { Task } from "./arguments.js";
import { tell } from "./output.js";
import { readPrefix } from "./prefix-view.js";

/** Deletes the lock entry, and with it the limit that is set there. */
export async function destroy(consul: ConsulClient, { prefix }: Task): Promise<number> {
  const { limit } = await readPrefix(consul, prefix);
  await consul.semaphorePrefix(prefix, 1).destroy();
  const deed = limit === undefined ? "there was no" : "deleted the";
  tell(`${deed} lock entry of ${JSON.stringify(prefix)}`);
  return 0;
}
