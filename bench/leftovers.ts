import { z } from "zod";

const sessionsSchema = z.array(z.object({ ID: z.string() }));

/** Clears away what a trial has left, so that the next one has Consul to itself. */
export async function clearLeftovers(address: string, prefix: string): Promise<void> {
  const sessions = await ask(address, "GET", "/v1/session/list");
  for (const { ID } of sessionsSchema.parse(JSON.parse(sessions))) {
    await ask(address, "PUT", `/v1/session/destroy/${ID}`);
  }
  await ask(address, "DELETE", `/v1/kv/${prefix}?recurse`);
}

async function ask(address: string, method: string, path: string): Promise<string> {
  const response = await fetch(`http://${address}${path}`, {
    method,
    signal: AbortSignal.timeout(10_000),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} was answered with ${response.status}`);
  return text;
}
