import { z } from "zod";
import type { RunningAgent } from "./consul-order.js";
import { messageOf } from "./error-message.js";
import type { Finding } from "./first-found.js";
import { setting } from "./setting.js";

const leaderAnswer = z.string();

/** The address of the cluster's leader, or an empty string while there is none. */
export async function leaderOf(address: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(`${address}/v1/status/leader`, { signal });
  const text = await response.text();
  if (!response.ok) throw new Error(`it answered ${response.status}: ${text.slice(0, 200)}`);
  return leaderAnswer.parse(JSON.parse(text));
}

/** The agent that CONSUL_HTTP_ADDR names, in the forms that Consul itself takes but for sockets. */
export async function runningAgent(env: NodeJS.ProcessEnv): Promise<Finding<RunningAgent>> {
  const value = setting(env, "CONSUL_HTTP_ADDR");
  if (value === undefined) return { missing: "CONSUL_HTTP_ADDR is not set" };
  try {
    const address = addressFrom(value);
    const leader = await leaderOf(address, AbortSignal.timeout(5_000));
    if (leader === "") throw new Error("its cluster has no leader");
    return {
      found: { kind: "agent", address },
      source: `the agent already running at ${address} that CONSUL_HTTP_ADDR names`,
    };
  } catch (error) {
    throw new Error(
      `CONSUL_HTTP_ADDR is ${JSON.stringify(value)}, where no Consul serves: ${messageOf(error)}.` +
        " Start an agent there, or unset it to look elsewhere.",
      { cause: error },
    );
  }
}

function addressFrom(value: string): string {
  const text = /^[a-z]+:\/\//i.test(value) ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new Error("it should be host:port, http://host:port or https://host:port");
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}
