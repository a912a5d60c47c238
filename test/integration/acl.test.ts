// Consul with ACLs that deny by default: what a token has to be allowed, and how it is told.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";

import { ConsulClient, type ConsulClientConfig } from "../../src/index.js";
import { rejectionOf } from "../unit/rejection.js";
import { cli } from "./cli/cli-process.js";
import { freshFolder, startOwnAgent, type AtEnd } from "./own-agent.js";

const ROOT = "5d1a9e1e-0c11-4f8e-9d7a-d0b5a1c6f001";
const PREFIX = "jobs/resize";

let address: string;
const ends: (() => Promise<void>)[] = [];
const atEnd: AtEnd = (end) => {
  ends.push(end);
};

beforeAll(async () => {
  const agent = await startOwnAgent(
    `primary_datacenter = "dc1"
     acl { enabled = true
           default_policy = "deny"
           tokens { master = "${ROOT}" } }`,
    atEnd,
    { token: ROOT },
  );
  address = agent.address;
});

afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

const tokenSchema = z.object({ SecretID: z.string(), AccessorID: z.string() });

async function ask(method: string, route: string, body?: unknown): Promise<unknown> {
  const response = await fetch(address + route, {
    method,
    headers: { "x-consul-token": ROOT },
    body: body === undefined ? null : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${text}`);
  return JSON.parse(text);
}

let policies = 0;

/** A token that may do what these rules say, and no more. */
async function tokenWith(rules: string): Promise<z.output<typeof tokenSchema>> {
  const Name = `policy-${(policies += 1)}`;
  await ask("PUT", "/v1/acl/policy", { Name, Rules: rules });
  return tokenSchema.parse(await ask("PUT", "/v1/acl/token", { Policies: [{ Name }] }));
}

/** What the guide says, where it matches. */
async function inGuide(pattern: RegExp): Promise<string> {
  const file = path.join(import.meta.dirname, "../../docs/operations.md");
  const [, found = ""] = pattern.exec(await readFile(file, "utf8")) ?? [];
  expect(found).not.toBe("");
  return found;
}

/** The rules that the documents say are enough. */
async function rulesOfDocuments(): Promise<string> {
  const rules = await inGuide(/```hcl\n(key_prefix [\s\S]*?)```/);
  expect(rules).toContain(`"${PREFIX}/"`);
  return rules;
}

/** Whatever a semaphore does, with one that waits, one that looks, and one that is aborted. */
async function useAll(config: ConsulClientConfig, sessionNode?: string): Promise<void> {
  await using client = new ConsulClient({ address, ...config });
  const options = { prefix: PREFIX, limit: 1, sessionNode };
  const [one, two] = [client.semaphoreOpts(options), client.semaphoreOpts(options)];
  const slot = await one.acquire();
  const next = two.acquire();
  const third = client.semaphoreOpts({ ...options, semaphoreWaitTime: 0 });
  expect(await third.tryAcquire()).toBeNull();
  const aborted = third.acquire(AbortSignal.timeout(100));
  expect(await rejectionOf(aborted)).toMatchObject({ name: "TimeoutError" });
  expect((await third.inspect()).holders).toMatchObject([{ session: slot.session }]);
  await one.release();
  await (await next).release();
  const session = await client.session.create({
    ...{ ttl: "10s", behavior: "delete", node: sessionNode },
    ...(sessionNode !== undefined && { checks: [] }),
  });
  const own = client.semaphoreOpts({ prefix: PREFIX, limit: 1, session });
  await own.run(() => undefined);
  await client.session.destroy(session);
  await third.destroy();
}

test("the rules of the documents are enough", async () => {
  const { SecretID: token } = await tokenWith(await rulesOfDocuments());
  await useAll({ token });
});

describe("less is not enough, and what is missing is told at once", () => {
  const KEYS = `key_prefix "${PREFIX}/" { policy = "write" }`;
  const SESSIONS = `session_prefix "" { policy = "write" }`;

  test.each([
    ["without sessions", KEYS, "SEMAPHORE_SESSION_FAILED", /it lacks session:write on the node/],
    [
      "with sessions that it may only read",
      `${KEYS}\nsession_prefix "" { policy = "read" }`,
      "SEMAPHORE_SESSION_FAILED",
      /it lacks session:write on the node/,
    ],
    [
      "without keys",
      SESSIONS,
      "SEMAPHORE_UPDATE_FAILED",
      /it lacks key:write on "jobs\/resize\/[-0-9a-f]+"/,
    ],
    [
      "with keys that it may only read",
      `${SESSIONS}\nkey_prefix "${PREFIX}/" { policy = "read" }`,
      "SEMAPHORE_UPDATE_FAILED",
      /it lacks key:write on "jobs\/resize\/[-0-9a-f]+"/,
    ],
    [
      "with the lock that it may only read",
      `${SESSIONS}\n${KEYS}\nkey "${PREFIX}/.lock" { policy = "read" }`,
      "SEMAPHORE_UPDATE_FAILED",
      /it lacks key:write on "jobs\/resize\/\.lock"/,
    ],
  ])("%s", async (_, rules, code, problem) => {
    const { SecretID: token } = await tokenWith(rules);
    await using client = new ConsulClient({ address, token });
    const error = await rejectionOf(client.semaphorePrefix(PREFIX, 1).acquire());
    expect(error).toMatchObject({ code });
    expect(String(error)).toMatch(problem);
    expect(String(error)).not.toContain(token);
  });

  test.each([
    ["nothing", ""],
    ["another prefix", `key_prefix "jobs/other/" { policy = "write" }`],
    ["the lock entry alone", `key "${PREFIX}/.lock" { policy = "write" }`],
  ])("nobody is taken for gone who is out of sight, with %s", async (_, rules) => {
    await using holder = new ConsulClient({ address, token: ROOT });
    await using slot = await holder.semaphorePrefix(PREFIX, 1).acquire();
    const { SecretID: token } = await tokenWith(rules);
    await using client = new ConsulClient({ address, token });
    const semaphore = client.semaphorePrefix(PREFIX, 1);
    for (const error of [
      await rejectionOf(semaphore.inspect()),
      await rejectionOf(semaphore.destroy()),
    ]) {
      expect(error).toMatchObject({ code: "SEMAPHORE_READ_FAILED" });
      expect(String(error)).toMatch(/Permission denied.*key:read on "jobs\/resize\//);
    }
    expect(slot.held).toBe(true);
  });

  test("without a token", async () => {
    await using client = new ConsulClient({ address });
    const error = await rejectionOf(client.semaphorePrefix(PREFIX, 1).acquire());
    expect(String(error)).toMatch(
      /without a token .*CONSUL_HTTP_TOKEN.* session:write on the node/,
    );
  });

  test("with a token that Consul does not know", async () => {
    await using client = new ConsulClient({ address, token: "no-such-token" });
    const error = await rejectionOf(client.semaphorePrefix(PREFIX, 1).acquire());
    expect(String(error)).toContain("ACL not found");
    expect(String(error)).not.toContain("no-such-token");
  });
});

describe("a token's file", () => {
  test("is read again when the token in it was rotated, by holders and waiters too", async () => {
    const rules = await rulesOfDocuments();
    const file = path.join(await freshFolder(atEnd), "token");
    const before = await tokenWith(rules);
    await writeFile(file, `${before.SecretID}\n`);
    await using client = new ConsulClient({ address, tokenFile: file });
    const [one, two] = [client.semaphorePrefix(PREFIX, 1), client.semaphorePrefix(PREFIX, 1)];
    const slot = await one.acquire();
    const next = two.acquire();

    const after = await tokenWith(rules);
    await writeFile(file, `${after.SecretID}\n`);
    await ask("DELETE", `/v1/acl/token/${before.AccessorID}`);

    expect(slot.held).toBe(true);
    await one.release();
    await (await next).release();
  });

  test("is read again where the token in it may do less than a new one", async () => {
    const file = path.join(await freshFolder(atEnd), "token");
    await writeFile(file, (await tokenWith(`session_prefix "" { policy = "write" }`)).SecretID);
    await using client = new ConsulClient({ address, tokenFile: file });
    await writeFile(file, (await tokenWith(await rulesOfDocuments())).SecretID);
    await client.semaphorePrefix(PREFIX, 1).run(() => undefined);
  });
});

describe("a node of the user's own", () => {
  const NODE = "semaphores";

  async function register(token: string): Promise<string> {
    const body = await inGuide(/catalog\/register"[^']*'(.*)'\n/);
    expect(body).toContain(`"${NODE}"`);
    const headers = { "x-consul-token": token };
    const route = `${address}/v1/catalog/register`;
    const response = await fetch(route, { method: "PUT", headers, body });
    return (await response.text()).trim();
  }

  test("is registered with the right to write it, and used with the rules of the guide", async () => {
    const { SecretID: weak } = await tokenWith(`node "another" { policy = "write" }`);
    expect(await register(weak)).toBe("Permission denied");
    const { SecretID: strong } = await tokenWith(`node "${NODE}" { policy = "write" }`);
    expect(await register(strong)).toBe("true");
    const { SecretID: token } = await tokenWith(await inGuide(/```hcl\n(session "[^]*?)```/));
    await useAll({ token }, NODE);

    // Registered again, it keeps its sessions.
    await using client = new ConsulClient({ address, token });
    const options = { prefix: PREFIX, limit: 1, sessionNode: NODE };
    await client.semaphoreOpts(options).run(async (slot) => {
      expect(await register(strong)).toBe("true");
      expect(await client.session.renew(slot.session)).toMatchObject({ node: NODE });
    });

    const error = await rejectionOf(client.semaphorePrefix(PREFIX, 1).acquire());
    expect(String(error)).toMatch(/it lacks session:write on the node of the session/);
  });
});

test("the command line without a token says what it may not read, and not that nobody is there", async () => {
  const holder = new ConsulClient({ address, token: ROOT });
  const slot = await holder.semaphorePrefix(PREFIX, 1).acquire();
  for (const command of ["inspect", "destroy"]) {
    const { code, lines } = await cli([command, PREFIX, `-http-addr=${address}`]);
    expect({ code, count: lines.length }).toEqual({ code: 77, count: 1 });
    expect(lines[0]).toContain("Permission denied");
    expect(lines[0]).toContain("(--token, or CONSUL_HTTP_TOKEN)");
  }
  await slot.release();
  await holder.close();
});
