import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { messageOf } from "./error-message.js";
import { leaderOf } from "./running-agent.js";

const createdSession = z.object({ ID: z.string() });

interface ReadinessOptions {
  /** The name of its node: another agent that got the same port can't pass for this one. */
  readonly node?: string | undefined;
  /** What a session takes, where there are ACLs. */
  readonly token?: string | undefined;
}

/**
 * Waits until the agent can do all that a test needs: an agent has a leader a moment before its
 * node is registered, and only then can it make a session. Ends early when the signal aborts.
 */
export async function untilReady(
  address: string,
  signal: AbortSignal,
  options: ReadinessOptions = {},
): Promise<void> {
  for (;;) {
    const obstacle = await obstacleAt(address, options);
    if (obstacle === undefined) return;
    if (signal.aborted) throw new Error(obstacle, { cause: signal.reason });
    await pause(50, undefined, { signal }).catch(() => undefined);
  }
}

async function obstacleAt(
  address: string,
  { node, token }: ReadinessOptions,
): Promise<string | undefined> {
  try {
    const leader = await leaderOf(address, AbortSignal.timeout(2_000));
    if (leader === "") return "it has no leader yet";
    const session = await put(`${address}/v1/session/create`, token, {
      TTL: "10s",
      ...(node === undefined ? {} : { Node: node }),
    });
    await put(`${address}/v1/session/destroy/${createdSession.parse(session).ID}`, token);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

async function put(url: string, token: string | undefined, body?: object): Promise<unknown> {
  const response = await fetch(url, {
    method: "PUT",
    signal: AbortSignal.timeout(2_000),
    headers: token === undefined ? {} : { "x-consul-token": token },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`it answered ${response.status}: ${text.slice(0, 200)}`);
  return JSON.parse(text);
}
