import type { ConsulClient } from "consul-semaphore";

import type { Task } from "./arguments.js";
import { tell } from "./output.js";
import { readPrefix } from "./prefix-view.js";

/** Deletes the lock entry, and with it the limit that is set there. */
export async function destroy(consul: ConsulClient, { prefix }: Task): Promise<number> {
  // What the token may not read is not there for it.
  await readPrefix(consul, prefix);
  await consul.semaphorePrefix(prefix, 1).destroy();
  tell(`${JSON.stringify(prefix)} has no lock entry`);
  return 0;
}
