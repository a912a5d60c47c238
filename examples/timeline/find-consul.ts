import { TestConsul } from "consul-semaphore/testing";

import { messageOf } from "../../test/harness/error-message.js";
import { setting } from "../../test/harness/setting.js";
import { startConsul, type RunningConsul } from "../../test/harness/start-consul.js";
import { AGENT_SETTINGS, SHORTEST_TTL_MS } from "./scenario.js";

/**
 * Starts a real Consul, or where there is none to be had, one in memory; `explain` is told why. One
 * that was asked for by name is not replaced.
 */
export async function findConsul(
  explain: (reason: string) => void,
  startReal = (): Promise<RunningConsul> => startConsul({ own: true, hcl: AGENT_SETTINGS }),
): Promise<RunningConsul> {
  try {
    return await startReal();
  } catch (error) {
    const named = ["CONSUL_BIN", "CONSUL_IMAGE"].some((name) => setting(process.env, name));
    if (named) throw error;
    explain(messageOf(error));
    const consul = await TestConsul.listen({ shortestTtl: SHORTEST_TTL_MS });
    return {
      address: consul.address,
      source: "a Consul in memory, since no real one can be had",
      stop: () => consul.close(),
    };
  }
}
