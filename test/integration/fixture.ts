import { randomUUID } from "node:crypto";
import { inspect } from "node:util";

import { expect, inject, onTestFinished } from "vitest";
import { z } from "zod";

import { ConsulClient, type ConsulClientConfig } from "../../src/index.js";
import { Proxy, type Ending } from "./proxy.js";

/** A client of the Consul under test, closed when the test is over. */
export function connect(
  config: ConsulClientConfig = {},
  ending: Ending = { onTestFinished },
): ConsulClient {
  const client = new ConsulClient({ address: inject("consulAddress"), ...config });
  ending.onTestFinished(() => client.close());
  return client;
}

/**
 * A prefix that no other test uses, and a name for its sessions. Whatever is below it and whatever
 * session is named so is deleted when the test is over.
 */
export function freshPrefix(ending: Ending = { onTestFinished }): string {
  const prefix = `test/${randomUUID()}/semaphore`;
  ending.onTestFinished(async () => {
    await consul("DELETE", `/v1/kv/${prefix}?recurse`);
    for (const id of await sessionsNamed(prefix)) {
      await consul("PUT", `/v1/session/destroy/${id}`);
    }
  });
  return prefix;
}

/** Two ways to the Consul under test, of which one can be disturbed. */
export interface Scene {
  readonly prefix: string;
  readonly proxy: Proxy;
  /** Talks to Consul through the proxy. */
  readonly behind: ConsulClient;
  /** Talks to Consul directly. */
  readonly direct: ConsulClient;
}

export async function scene(ending: Ending = { onTestFinished }): Promise<Scene> {
  const prefix = freshPrefix(ending);
  const proxy = await Proxy.start(ending);
  const behind = connect({ address: proxy.address }, ending);
  return { prefix, proxy, behind, direct: connect({}, ending) };
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

const lockSchema = z.tuple([z.object({ ModifyIndex: z.int(), Value: z.string() })]);

/** The lock entry below a prefix, read past the library: its value, and the index of its last write. */
export async function lockBelow(
  prefix: string,
): Promise<{ readonly value: string; readonly modifyIndex: bigint }> {
  const text = await consul("GET", `/v1/kv/${prefix}/.lock?consistent`);
  const [{ ModifyIndex, Value }] = lockSchema.parse(JSON.parse(text));
  return { value: Buffer.from(Value, "base64").toString(), modifyIndex: BigInt(ModifyIndex) };
}

const sessionListSchema = z.array(z.object({ ID: z.string(), Name: z.string() }));

/** The IDs of all sessions of a name, so that one that was left behind is found. */
export async function sessionsNamed(name: string): Promise<string[]> {
  const sessions = sessionListSchema.parse(JSON.parse(await consul("GET", "/v1/session/list")));
  return sessions.filter(({ Name }) => Name === name).map(({ ID }) => ID);
}

/** All that stays of a semaphore that nobody uses is the lock entry, if it ever had one. */
export async function expectNothingLeft(prefix: string): Promise<void> {
  const keys = await keysBelow(prefix);
  expect(keys.filter((key) => key !== `${prefix}/.lock`)).toEqual([]);
  if (keys.length > 0) expect((await lockBelow(prefix)).value).toContain('"Holders":{}');
  expect(await sessionsNamed(prefix)).toEqual([]);
}

/**
 * The same of a client after a release that went well: it keeps the session for its next slot, and
 * no longer than until it is closed.
 */
export async function expectNothingLeftOnceClosed(
  client: ConsulClient,
  prefix: string,
): Promise<void> {
  await client.close();
  await expectNothingLeft(prefix);
}

const createdSchema = z.object({ ID: z.string() });

/**
 * A session past the library, made as the Go original's tests make theirs; ended with the test.
 *
 * @param options `ttl`: `null` for one that lives until somebody ends it
 */
export async function makeSession(
  { checks = [], ttl = "60s" }: { checks?: string[]; ttl?: string | null } = {},
  ending: Ending = { onTestFinished },
): Promise<string> {
  const spec = JSON.stringify({
    Name: "a session of the test's",
    ...(ttl === null ? {} : { TTL: ttl }),
    Behavior: "delete",
    Checks: checks,
  });
  const { ID } = createdSchema.parse(JSON.parse(await consul("PUT", "/v1/session/create", spec)));
  ending.onTestFinished(async () => {
    await consul("PUT", `/v1/session/destroy/${ID}`);
  });
  return ID;
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

/** Asks again and again until the answer is as wanted; fails with the last answer in the end. */
export async function eventually<Answer>(
  ask: () => Answer | Promise<Answer>,
  wanted: (answer: Answer) => boolean,
  withinMs = 30_000,
): Promise<Answer> {
  const giveUpAt = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    if (performance.now() > giveUpAt) {
      throw new Error(`still ${inspect(answer)} after ${withinMs / 1_000} s`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
