import { randomUUID } from "node:crypto";

import { inject, onTestFinished } from "vitest";

import { ConsulClient, type ConsulClientConfig } from "../../src/index.js";

/** A client of the Consul under test, closed when the test is over. */
export function connect(config: ConsulClientConfig = {}): ConsulClient {
  const client = new ConsulClient({ address: inject("consulAddress"), ...config });
  onTestFinished(() => client.close());
  return client;
}

/** A prefix that no other test uses. Whatever is below it is deleted when the test is over. */
export function freshPrefix(): string {
  const prefix = `test/${randomUUID()}/semaphore`;
  onTestFinished(async () => {
    await consul("DELETE", `/v1/kv/${prefix}?recurse`);
  });
  return prefix;
}

/** A request to the Consul under test that goes past the library. Resolves to the answer's text. */
export async function consul(method: string, path: string, body?: string): Promise<string> {
  const response = await fetch(inject("consulAddress") + path, { method, body: body ?? null });
  return await response.text();
}

/** The keys below a prefix, read past the library. */
export async function keysBelow(prefix: string): Promise<string[]> {
  const text = await consul("GET", `/v1/kv/${prefix}/?keys`);
  return text === "" ? [] : [...text.matchAll(/"([^"]+)"/g)].map(([, key]) => key ?? "");
}

/** A session past the library, made as the Go original's tests make theirs; ended with the test. */
export async function makeSession(
  client: ConsulClient,
  { checks = [] }: { checks?: string[] } = {},
): Promise<string> {
  const id = await client.session.create({
    name: "a session of the test's",
    ttl: "60s",
    behavior: "delete",
    checks,
  });
  onTestFinished(async () => {
    await consul("PUT", `/v1/session/destroy/${id}`);
  });
  return id;
}

/** Resolves to the signal's reason once it aborts; rejects if that takes too long. */
export async function abortWithin(signal: AbortSignal, ms: number): Promise<unknown> {
  if (!signal.aborted) {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`the signal has not aborted within ${ms} ms`));
      }, ms);
      signal.addEventListener(
        "abort",
        () => {
          clearTimeout(timer);
          resolve();
        },
        { once: true },
      );
    });
  }
  return signal.reason;
}

/** Asks again and again until the answer is as wanted; fails with the last answer after 30 s. */
export async function eventually<Answer>(
  ask: () => Promise<Answer>,
  wanted: (answer: Answer) => boolean,
): Promise<Answer> {
  const giveUpAt = performance.now() + 30_000;
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    if (performance.now() > giveUpAt) {
      throw new Error(`still ${JSON.stringify(answer)} after 30 s`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
