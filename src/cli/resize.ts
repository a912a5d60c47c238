import type { ConsulClient } from "consul-semaphore";

import type { Task } from "./arguments.js";
import { tell } from "./output.js";
import { wholeNumber } from "./whole-number.js";

/** Sets the limit in Consul. */
export async function resize(consul: ConsulClient, { prefix, operand }: Task): Promise<number> {
  const limit = wholeNumber("N", operand);
  await consul.semaphorePrefix(prefix, limit).resize(limit);
  tell(`the limit of ${JSON.stringify(prefix)} is ${limit}`);
  return 0;
}
