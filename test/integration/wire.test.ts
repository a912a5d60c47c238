// The bytes in Consul, both ways: what this library writes, and what others have written.
import { expect, test } from "vitest";
import { z } from "zod";

import {
  DEFAULT_SEMAPHORE_KEY,
  SEMAPHORE_FLAG_VALUE,
  SemaphoreDecodingError,
  type Semaphore,
  type SemaphoreOptions,
  type SemaphoreSlot,
} from "../../src/index.js";
import {
  abortWithin,
  connect,
  consul,
  freshPrefix,
  keysBelow,
  lockBelow,
  makeSession,
} from "./fixture.js";
import { Proxy, REQUESTS, type Fate, type SeenRequest } from "./proxy.js";

const FLAGS = "16210313421097356768";

/** The entries below a prefix; flags as the digits that are in the answer. */
const entriesSchema = z.array(
  z
    .object({
      Key: z.string(),
      Flags: z.string(),
      Value: z.string().nullable(),
      Session: z.string().optional(),
    })
    .transform(({ Key, Flags, Value, Session }) => ({
      key: Key,
      flags: Flags,
      value: Value === null ? null : Buffer.from(Value, "base64").toString(),
      session: Session,
    })),
);

async function entriesBelow(prefix: string): Promise<z.output<typeof entriesSchema>> {
  const text = await consul("GET", `/v1/kv/${prefix}/?recurse`);
  const exact = text.replaceAll(/"Flags": ?(\d+)/g, '"Flags": "$1"');
  return entriesSchema.parse(JSON.parse(exact === "" ? "[]" : exact));
}

async function lockOf(prefix: string): Promise<{ flags: string; value: string | null }> {
  const entry = (await entriesBelow(prefix)).find(({ key }) => key === `${prefix}/.lock`);
  if (entry === undefined) throw new Error(`no ${prefix}/.lock`);
  return { flags: entry.flags, value: entry.value };
}

async function writeLock(prefix: string, value: string, flags = FLAGS): Promise<void> {
  await consul("PUT", `/v1/kv/${prefix}/.lock?flags=${flags}`, value);
}

async function acquireAndRelease(sem: Semaphore): Promise<string> {
  const { session } = await sem.acquire();
  await sem.release();
  return session;
}

const DEAD_SESSION = "0fd8b5f5-5a7b-4b4e-8f6e-1f2d3c4b5a69";

test("the flags are the original's, to the bit", () => {
  expect(SEMAPHORE_FLAG_VALUE).toBe(0xe0f69a2baa414de0n);
  expect(SEMAPHORE_FLAG_VALUE.toString()).toBe(FLAGS);
  expect(BigInt(Number(SEMAPHORE_FLAG_VALUE)).toString()).not.toBe(FLAGS);
  expect(DEFAULT_SEMAPHORE_KEY).toBe(".lock");
});

test("a holder writes a contender entry and the lock, byte for byte as the original", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const one = client.semaphoreOpts({ prefix: `./${prefix}//x/../`, limit: 3, value: "hôte-1" });
  const two = client.semaphorePrefix(prefix, 3);
  const sessions = [(await one.acquire()).session, (await two.acquire()).session].sort();
  const [first, second] = sessions;

  const entries = await entriesBelow(prefix);
  expect(entries).toHaveLength(3);
  expect(entries).toContainEqual({
    key: `${prefix}/.lock`,
    flags: FLAGS,
    value: `{"Limit":3,"Holders":{"${first ?? ""}":true,"${second ?? ""}":true}}`,
    session: undefined,
  });
  expect(entries.map(({ value }) => value)).toContain("hôte-1");
  for (const session of sessions) {
    expect(entries.find(({ key }) => key === `${prefix}/${session}`)).toMatchObject({
      flags: FLAGS,
      session,
    });
  }
  const { value: session } = await client.session.info(first ?? "");
  expect(session).toMatchObject({
    name: "Consul API Semaphore",
    ttl: "15s",
    behavior: "delete",
    checks: [],
  });

  await one.release();
  await two.release();
  expect(await entriesBelow(prefix)).toEqual([
    { key: `${prefix}/.lock`, flags: FLAGS, value: '{"Limit":3,"Holders":{}}', session: undefined },
  ]);
});

test("session options reach Consul", async () => {
  const client = connect();
  const sem = client.semaphoreOpts({
    prefix: freshPrefix(),
    limit: 1,
    sessionName: "resizer",
    sessionTTL: 20_000,
    sessionChecks: [],
  });
  const { session } = await sem.acquire();
  expect((await client.session.info(session)).value).toMatchObject({
    name: "resizer",
    ttl: "20000ms",
    checks: [],
  });
  await sem.release();
  // It is kept for the next slot, but not for long.
  const isThere = async (): Promise<boolean> => (await client.session.info(session)).value !== null;
  expect(await isThere()).toBe(true);
  await expect.poll(isThere, { timeout: 30_000 }).toBe(false);
});

/** What a transaction's body asks for: flags and indexes as the digits that are in it, values as text. */
function operationsIn(body: string | undefined): unknown {
  const exact = (body ?? "").replaceAll(/"(Flags|Index)":(\d+)/g, '"$1":"$2"');
  return operationsSchema.parse(JSON.parse(exact));
}

const operationsSchema = z.array(
  z
    .strictObject({ KV: z.looseObject({ Value: z.string().optional() }) })
    .transform(({ KV: { Value, ...fields } }) =>
      Value === undefined ? fields : { ...fields, Value: Buffer.from(Value, "base64").toString() },
    ),
);

interface Wire {
  readonly sem: Semaphore;
  /** The requests since it was last called. */
  readonly sent: () => SeenRequest[];
}

async function wireOf(prefix: string, options: Partial<SemaphoreOptions> = {}): Promise<Wire> {
  const proxy = await Proxy.start();
  const sem = connect({ address: proxy.address }).semaphoreOpts({ prefix, limit: 1, ...options });
  return { sem, sent: () => proxy.requests.splice(0) };
}

/** Without what the monitor reads, for which there is time on a slow machine. */
function withoutLooks(requests: readonly SeenRequest[]): readonly SeenRequest[] {
  return requests.filter(({ method }) => method !== "GET");
}

/** A release reads the prefix, unless that was done a moment ago. */

function withoutLookBack(operations: unknown): unknown {
  return z
    .array(z.looseObject({ Verb: z.string() }))
    .parse(operations)
    .filter(({ Verb }) => Verb !== "get-tree");
}

function linesOf(requests: readonly SeenRequest[]): string[] {
  return requests.map(({ method, path }) => `${method} ${path}`);
}

test("an uncontended acquire is one write, and so is its release", async () => {
  const prefix = freshPrefix();
  const { sem, sent } = await wireOf(prefix, { value: "host-1", sessionName: prefix });

  const { session } = await sem.acquire();

  const acquire = sent();
  expect(linesOf(acquire)).toEqual([
    "PUT /v1/session/create",
    `GET /v1/kv/${prefix}/?recurse&consistent`,
    "PUT /v1/txn",
  ]);
  const contender = `${prefix}/${session}`;
  const lock = `${prefix}/.lock`;
  const held = `{"Limit":1,"Holders":{"${session}":true}}`;
  expect(operationsIn(acquire[2]?.body)).toEqual([
    { Verb: "lock", Key: contender, Value: "host-1", Flags: FLAGS, Session: session },
    { Verb: "cas", Key: lock, Value: held, Flags: FLAGS, Index: "0" },
  ]);

  const { modifyIndex } = await lockBelow(prefix);
  await sem.release();

  const release = withoutLooks(sent());
  expect(linesOf(release)).toEqual(["PUT /v1/txn"]);
  const empty = '{"Limit":1,"Holders":{}}';
  expect(withoutLookBack(operationsIn(release[0]?.body))).toEqual([
    { Verb: "cas", Key: lock, Value: empty, Flags: FLAGS, Index: modifyIndex.toString() },
    { Verb: "delete", Key: contender },
  ]);

  // What it has written it knows, and its session is kept: nothing is asked a second time.
  expect((await sem.acquire()).session).toBe(session);
  expect(linesOf(withoutLooks(sent()))).toEqual(["PUT /v1/txn"]);
  await sem.release();
});

test("a release tells who is left, and a waiter that it shows has its turn before a newcomer", async () => {
  const prefix = freshPrefix();
  const { sem } = await wireOf(prefix);
  await sem.acquire();
  const other = connect().semaphorePrefix(prefix, 1);
  const waiting = other.acquire();
  await expect.poll(async () => (await other.inspect()).waiters.length).toBe(1);
  const order: string[] = [];
  const first = waiting.then(() => order.push("waiter"));
  await sem.release();
  const second = sem.acquire().then(() => order.push("newcomer"));
  await first;
  await other.release();
  await second;
  expect(order).toEqual(["waiter", "newcomer"]);
  await sem.release();
});

test("with a session of the user's, it is renewed, enters the queue, and then joins", async () => {
  const prefix = freshPrefix();
  const session = await makeSession();
  const { sem, sent } = await wireOf(prefix, { session, value: "host-1" });

  await sem.acquire();

  const acquire = sent();
  expect(linesOf(acquire)).toEqual([
    `PUT /v1/session/renew/${session}`,
    `GET /v1/kv/${prefix}/.lock?consistent`,
    "PUT /v1/txn",
    "PUT /v1/txn",
  ]);
  const [, , enter, join] = acquire;
  expect(operationsIn(enter?.body)).toEqual(entering(prefix, session));
  expect(operationsIn(join?.body)).toEqual([
    { Verb: "check-session", Key: `${prefix}/${session}`, Session: session },
    swapOf(prefix, { limit: 1, holders: [session], index: 0n }),
    ...touching(prefix, session),
  ]);
  await sem.release();
  expect(linesOf(withoutLooks(sent()))).toEqual(["PUT /v1/txn"]);
});

/** The operation that writes a contender entry, and those that touch one. */
function writing(verb: string, prefix: string, session: string): object {
  const key = `${prefix}/${session}`;
  return { Verb: verb, Key: key, Value: "host-1", Flags: FLAGS, Session: session };
}

function entering(prefix: string, session: string): readonly object[] {
  const noTail = { Verb: "delete-tree", Key: `${prefix}/.tail/` };
  return [writing("lock", prefix, session), noTail, { Verb: "get-tree", Key: `${prefix}/` }];
}

function touching(prefix: string, session: string): readonly object[] {
  return [writing("unlock", prefix, session), writing("lock", prefix, session)];
}

interface LockWrite {
  readonly limit: number;
  readonly holders: readonly string[];
  readonly index?: bigint;
}

/** The operation that swaps the lock; without an index one that sets it. */
function swapOf(prefix: string, { limit, holders, index }: LockWrite): object {
  const listed = holders.toSorted().map((session) => `"${session}":true`);
  const Value = `{"Limit":${limit},"Holders":{${listed.join(",")}}}`;
  return {
    ...{ Verb: index === undefined ? "set" : "cas", Key: `${prefix}/.lock`, Value, Flags: FLAGS },
    ...(index === undefined ? {} : { Index: index.toString() }),
  };
}

/** So many contenders ahead of all others. Resolves to what has them go. */
async function othersAt(prefix: string, count: number): Promise<() => Promise<void>> {
  const sessions = await Promise.all(Array.from({ length: count }, () => makeSession()));
  for (const session of sessions) {
    await consul("PUT", `/v1/kv/${prefix}/${session}?acquire=${session}&flags=${FLAGS}`);
  }
  return async () => {
    for (const session of sessions) await consul("PUT", `/v1/session/destroy/${session}`);
  };
}

test("whoever enters a queue of more than fifty is its tail until the next one comes", async () => {
  const prefix = freshPrefix();
  const [tail, lock] = [`${prefix}/.tail/`, `${prefix}/.lock`];
  await writeLock(prefix, '{"Limit":1,"Holders":{}}');
  const go = await othersAt(prefix, 51);
  const first = await wireOf(prefix, { value: "host-1" });
  const second = await wireOf(prefix, { value: "host-1" });
  const tails = async () =>
    (await entriesBelow(prefix)).filter(({ key }) => key.startsWith(tail)).map((it) => it.session);

  const acquired: string[] = [];
  const slots = [first, second].map(async ({ sem }) => {
    const slot = await sem.acquire();
    acquired.push(slot.session);
    await slot.release();
  });
  const entered = async ({ sent }: Wire): Promise<string> => {
    const seen: SeenRequest[] = [];
    const enters = () => [...seen].filter((it) => REQUESTS["contender entry"](it));
    await expect.poll(() => seen.push(...sent()) > 0 && enters().length).toBe(1);
    const operations = operationsIn(enters()[0]?.body);
    const [, , own] = z.array(z.looseObject({ Session: z.string().optional() })).parse(operations);
    const session = own?.Session ?? "";
    expect(operations).toEqual([
      { Verb: "get-tree", Key: lock },
      { Verb: "get-tree", Key: tail },
      writing("lock", prefix, session),
      { Verb: "delete-tree", Key: tail },
      { Verb: "lock", Key: `${tail}${session}`, Flags: FLAGS, Session: session },
    ]);
    return session;
  };
  const sessions = [await entered(first), await entered(second)];
  const contenders = sessions.map((session) => `${prefix}/${session}`);
  await expect.poll(() => keysBelow(prefix)).toEqual(expect.arrayContaining(contenders));
  expect(await tails()).toHaveLength(1);
  expect(sessions).toContain((await tails())[0]);

  await go();
  await Promise.all(slots);
  expect(acquired.toSorted()).toEqual(sessions.toSorted());
  // It goes with the session of whoever came last.
  for (const session of sessions) await consul("PUT", `/v1/session/destroy/${session}`);
  expect(await keysBelow(prefix)).toEqual([lock]);
});

test("whoever joins out of the queue touches its own entry", async () => {
  const prefix = freshPrefix();
  const occupant = connect().semaphorePrefix(prefix, 1);
  await occupant.acquire();
  const proxy = await Proxy.start();
  const client = connect({ address: proxy.address });
  const sem = client.semaphoreOpts({ prefix, limit: 1, value: "host-1" });
  let index = 0n;
  proxy.decide = async (request): Promise<Fate> => {
    if (REQUESTS["join in turn"](request)) index = (await lockBelow(prefix)).modifyIndex;
    return "pass";
  };
  const attempt = sem.acquire();
  await expect.poll(async () => (await occupant.inspect()).waiters.length).toBe(1);
  await occupant.release();
  const { session } = await attempt;

  // Whether the holders are alive is a question, and no write.
  const transactions = proxy.requests.filter(({ path }) => path === "/v1/txn");
  const [enter, join] = transactions.map(({ body }) => operationsIn(body));
  expect(transactions).toHaveLength(2);
  expect(enter).toEqual(entering(prefix, session));
  expect(join).toEqual([
    { Verb: "check-session", Key: `${prefix}/${session}`, Session: session },
    swapOf(prefix, { limit: 1, holders: [session], index }),
    ...touching(prefix, session),
  ]);
  await sem.release();
});

test("one that is a holder already leaves and joins again in one transaction", async () => {
  const prefix = freshPrefix();
  const session = await makeSession();
  const other = await connect().semaphorePrefix(prefix, 2).acquire();
  await connect().semaphoreOpts({ prefix, limit: 2, session }).acquire();
  const { modifyIndex } = await lockBelow(prefix);
  const { sem, sent } = await wireOf(prefix, { limit: 2, session, value: "host-1" });

  await sem.acquire();

  const resuming = sent();
  expect(linesOf(resuming)).toEqual([
    `PUT /v1/session/renew/${session}`,
    `GET /v1/kv/${prefix}/.lock?consistent`,
    "PUT /v1/txn",
    "PUT /v1/txn",
  ]);
  const [, , enter, rejoin] = resuming;
  // Without its contender entry it is dead, and must not be alive again by this.
  expect(operationsIn(enter?.body)).toEqual([
    { Verb: "check-session", Key: `${prefix}/${session}`, Session: session },
    ...entering(prefix, session),
  ]);
  expect(operationsIn(rejoin?.body)).toEqual([
    { Verb: "check-session", Key: `${prefix}/${session}`, Session: session },
    swapOf(prefix, { limit: 2, holders: [other.session], index: modifyIndex }),
    swapOf(prefix, { limit: 2, holders: [other.session, session] }),
    ...touching(prefix, session),
  ]);
  await sem.release();
});

test("a release that passes the slot on touches the entry of whoever gets it", async () => {
  const prefix = freshPrefix();
  const proxy = await Proxy.start();
  const client = connect({ address: proxy.address });
  const [one, two] = [
    client.semaphorePrefix(prefix, 1),
    client.semaphoreOpts({ prefix, limit: 1, value: "host-1" }),
  ];
  const first = await one.acquire();
  const { modifyIndex } = await lockBelow(prefix);
  const attempt = two.acquire();
  // The holder watches the lock entry and the waiter does, which is in the queue by then.
  await expect.poll(() => proxy.underWay("blocking query"), { timeout: 10_000 }).toBe(2);

  await one.release();

  const second = await attempt;
  const handovers = proxy.seen("handover").map(({ body }) => operationsIn(body));
  expect(handovers).toEqual([
    [
      { Verb: "check-session", Key: `${prefix}/${second.session}`, Session: second.session },
      swapOf(prefix, { limit: 1, holders: [second.session], index: modifyIndex }),
      ...touching(prefix, second.session),
      { Verb: "delete", Key: `${prefix}/${first.session}` },
    ],
  ]);
  await two.release();
});

test("a contender entry changes when its owner gets a slot, with the same index as the lock", async () => {
  const prefix = freshPrefix();
  const [client, other] = [connect(), connect()];
  const entryOf = async (session: string) => {
    const { value: entry } = await client.kv.get(`${prefix}/${session}`, { consistent: true });
    if (entry === null) throw new Error(`no entry of ${session}`);
    return entry;
  };
  const expectJoined = async ({ session, fencingToken }: SemaphoreSlot): Promise<void> => {
    expect(await entryOf(session)).toMatchObject({ session, modifyIndex: fencingToken });
    expect((await lockBelow(prefix)).modifyIndex).toBe(fencingToken);
  };
  const limit = 1;

  // With its entry in one write,
  const first = client.semaphorePrefix(prefix, limit);
  await expectJoined(await first.acquire());

  const waiters = [client.semaphorePrefix(prefix, limit), other.semaphorePrefix(prefix, limit)];
  const attempts: Promise<SemaphoreSlot>[] = [];
  for (const waiter of waiters) {
    attempts.push(waiter.acquire());
    await expect.poll(async () => (await first.inspect()).waiters.length).toBe(attempts.length);
  }
  const waiting = await Promise.all(
    (await first.inspect()).waiters.map(({ session }) => entryOf(session)),
  );
  for (const { createIndex, modifyIndex, lockIndex } of waiting) {
    expect({ modifyIndex, lockIndex }).toEqual({ modifyIndex: createIndex, lockIndex: 1n });
  }

  // by a release of its own client, and by itself.
  await first.release();
  for (const [place, attempt] of attempts.entries()) {
    const slot = await attempt;
    await expectJoined(slot);
    expect((await entryOf(slot.session)).lockIndex).toBe(2n);
    await waiters[place]?.release();
  }

  // Resumed, it is a new slot.
  const session = await makeSession();
  await client.semaphoreOpts({ prefix, limit, session }).acquire();
  const resumed = other.semaphoreOpts({ prefix, limit, session });
  await expectJoined(await resumed.acquire());
  await resumed.release();
});

test.each([
  ["below a folder of the prefix", (session: string) => `x/${session}`],
  ["below its own key", (session: string) => `${session}/x`],
  ["whose key ends like its own", (session: string) => `x${session}`],
])("an entry %s makes nobody a holder or a waiter", async (_, keyOf) => {
  const prefix = freshPrefix();
  const session = await makeSession();
  await consul("PUT", `/v1/kv/${prefix}/${keyOf(session)}?acquire=${session}&flags=${FLAGS}`);
  await writeLock(prefix, `{"Limit":1,"Holders":{"${session}":true}}`);
  const sem = connect().semaphorePrefix(prefix, 1);
  expect(await sem.inspect()).toEqual({ limit: 1, holders: [], waiters: [] });

  const slot = await sem.acquire();

  expect((await lockOf(prefix)).value).toBe(`{"Limit":1,"Holders":{"${slot.session}":true}}`);
  expect((await sem.inspect()).holders.map((holder) => holder.session)).toEqual([slot.session]);
  await sem.release();
});

test("nor is a holder alive whose entry another session has locked", async () => {
  const prefix = freshPrefix();
  const [session, thief] = [await makeSession(), await makeSession()];
  await consul("PUT", `/v1/kv/${prefix}/${session}?acquire=${thief}&flags=${FLAGS}`);
  await writeLock(prefix, `{"Limit":1,"Holders":{"${session}":true}}`);
  const sem = connect().semaphorePrefix(prefix, 1);
  expect(await sem.inspect()).toEqual({ limit: 1, holders: [], waiters: [] });
  await acquireAndRelease(sem);
  expect((await lockOf(prefix)).value).toBe('{"Limit":1,"Holders":{}}');
});

test("a session is asked for as the original does, but for its checks and a mark in its lock-delay", async () => {
  const marks: unknown[] = [];
  for (const sessionChecks of [undefined, [], ["serfHealth"]]) {
    const prefix = freshPrefix();
    const { sem, sent } = await wireOf(prefix, { sessionName: prefix, sessionChecks });
    await sem.acquire();
    const [create] = sent();
    await sem.release();

    const { LockDelay, ...spec } = sessionSpecSchema.parse(JSON.parse(create?.body ?? ""));
    expect(spec).toEqual({
      Name: prefix,
      TTL: "15s",
      Behavior: "delete",
      ...{ Checks: sessionChecks ?? [], NodeChecks: sessionChecks ?? [] },
    });
    // From 15 s, which is Consul's own, to 16 s.
    expect(LockDelay).toMatch(/^15\d{3}(\.\d+)?ms$/);
    marks.push(LockDelay);
  }
  expect(new Set(marks).size).toBe(marks.length);
});

const sessionSpecSchema = z.looseObject({ LockDelay: z.string() });

test("every blocking query states its wait", async () => {
  const proxy = await Proxy.start();
  const prefix = freshPrefix();
  const client = connect({ address: proxy.address });
  const one = client.semaphorePrefix(prefix, 1);
  const two = client.semaphoreOpts({ prefix, limit: 1, semaphoreWaitTime: "7s" });
  await one.acquire();
  const attempt = two.acquire();
  const blocking = (): string[] =>
    proxy.requests.filter(({ path }) => path.includes("index=")).map(({ path }) => path);
  await expect.poll(() => blocking().length, { timeout: 10_000 }).toBeGreaterThanOrEqual(2);
  await one.release();
  await attempt;
  await two.release();
  expect(blocking().filter((path) => !/[?&]wait=[1-9]\d*ms(&|$)/.test(path))).toEqual([]);
  expect(blocking().some((path) => path.includes("wait=7000ms"))).toBe(true);
});

test("a lock of the first Go release, with flags 0, is respected and then made right", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const oldHolder = await makeSession();
  await consul("PUT", `/v1/kv/${prefix}/${oldHolder}?acquire=${oldHolder}`, "");
  await writeLock(prefix, `{"Limit":1,"Holders":{"${oldHolder}":true}}`, "0");
  const sem = client.semaphoreOpts({ prefix, limit: 1, semaphoreWaitTime: "50ms" });

  expect(await sem.tryAcquire()).toBeNull();
  expect((await sem.inspect()).holders.map(({ session }) => session)).toEqual([oldHolder]);

  await writeLock(prefix, '{"Limit":1,"Holders":{}}', "0");
  const { session } = await sem.acquire();
  expect(await lockOf(prefix)).toEqual({
    flags: FLAGS,
    value: `{"Limit":1,"Holders":{"${session}":true}}`,
  });
  await sem.release();
});

test.each([
  ["null holders", '{"Limit":2,"Holders":null}'],
  ["no holders", '{"Limit":2}'],
  ["an unknown field", '{"Limit":2,"Holders":{},"Note":["from","a","newer","release"]}'],
  ["fields in another case", '{"limit":2,"holders":{}}'],
  ["dead holders", `{"Limit":2,"Holders":{"${DEAD_SESSION}":true,"nobody":true}}`],
])("a lock with %s has a slot to take", async (_, value) => {
  const prefix = freshPrefix();
  const sem = connect().semaphorePrefix(prefix, 2);
  await writeLock(prefix, value);
  const { session } = await sem.acquire();
  expect((await lockOf(prefix)).value).toBe(`{"Limit":2,"Holders":{"${session}":true}}`);
  await sem.release();
});

test("a lock entry without a value has a slot to take", async () => {
  const prefix = freshPrefix();
  const sem = connect().semaphorePrefix(prefix, 2);
  await writeLock(prefix, "");
  await acquireAndRelease(sem);
});

test("garbage in the lock is an error that shows it, and nothing is left behind", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const sem = client.semaphoreOpts({ prefix, limit: 2, session: await makeSession() });
  await writeLock(prefix, "<html>");

  const failure = await sem.acquire().catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(SemaphoreDecodingError);
  expect(String(failure)).toContain('lock decoding failed: the value "<html>" is not JSON');
  await expect(sem.destroy()).rejects.toThrow("lock decoding failed");
  await expect(sem.inspect()).rejects.toThrow("lock decoding failed");
  expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`]);
});

test("garbage that comes while a slot is held ends it, and release says so", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const sem = client.semaphoreOpts({ prefix, limit: 2, session: await makeSession() });
  await sem.acquire();
  await writeLock(prefix, "[]");
  await expect(sem.release()).rejects.toThrow("lock decoding failed");
  expect(sem.isHeld).toBe(false);
  expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`]);
});

test("after it has told of the loss, release has nothing more to say", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const sem = client.semaphoreOpts({ prefix, limit: 2, session: await makeSession() });
  const slot = await sem.acquire();
  await writeLock(prefix, "[]");
  expect(await abortWithin(slot.signal, 1_000)).toMatchObject({
    reason: "holder-removed",
    cause: { code: "SEMAPHORE_LOCK_DECODING_FAILED" },
  });
  await sem.release();
  expect(await keysBelow(prefix)).toEqual([`${prefix}/.lock`]);
});

test("somebody's own JSON, with flags 0, is not taken for a lock", async () => {
  const prefix = freshPrefix();
  const sem = connect().semaphorePrefix(prefix, 2);
  await writeLock(prefix, '{"owner":"bob"}', "0");
  await expect(sem.acquire()).rejects.toThrow("Existing key does not match semaphore use");
  await expect(sem.destroy()).rejects.toThrow("Existing key does not match semaphore use");
  expect((await lockOf(prefix)).value).toBe('{"owner":"bob"}');
});

test("a neighbour whose prefix begins like ours is not read", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const neighbour = client.semaphorePrefix(`${prefix}2`, 5);
  await neighbour.acquire();
  await writeLock(`${prefix}3`, "garbage");

  const sem = client.semaphorePrefix(prefix, 1);
  const { session } = await sem.acquire();
  const state = await sem.inspect();
  expect(state).toMatchObject({ limit: 1, holders: [{ session }], waiters: [] });
  await sem.release();
  await sem.destroy();
  await neighbour.release();
  await consul("DELETE", `/v1/kv/${prefix}3?recurse`);
});

test("inspect shows holders and waiters in the order of their arrival", async () => {
  const client = connect();
  const prefix = freshPrefix();
  const observer = client.semaphorePrefix(prefix, 2);
  expect(await observer.inspect()).toEqual({ limit: 2, holders: [], waiters: [] });

  const names = ["a", "b", "c", "d"];
  const semaphores = names.map((value) => client.semaphoreOpts({ prefix, limit: 2, value }));
  const attempts: Promise<unknown>[] = [];
  for (const [position, sem] of semaphores.entries()) {
    attempts.push(sem.acquire());
    await expect.poll(async () => (await keysBelow(prefix)).length).toBe(position + 2);
    if (position === 1) await Promise.all(attempts);
  }

  const { holders, waiters } = await observer.inspect();
  const nameOf = ({ value }: { value: Uint8Array | null }): string =>
    Buffer.from(value ?? []).toString();
  expect(holders.map(nameOf)).toEqual(["a", "b"]);
  expect(waiters.map(nameOf)).toEqual(["c", "d"]);
  const indexes = [...holders, ...waiters].map(({ createIndex }) => createIndex);
  expect(indexes).toEqual([...indexes].sort((x, y) => Number(x - y)));

  await Promise.all(
    semaphores.map(async (sem, position) => {
      await attempts[position];
      await sem.release();
    }),
  );
});
