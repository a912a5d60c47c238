// What a contender does to its entry: it makes it, touches it (unlocks and locks it again in one
// transaction) and loses it with its session. And to the entry that names the tail of a long queue.
import { expect, test } from "vitest";

import type { KVEntry, KVOperation } from "../../src/index.js";
import { conform, freshPrefix } from "./consul-under-test.js";

const FLAGS = 0xe0f69a2baa414de0n;
const VALUE = "host:42";
const LOCK = '{"Limit":1,"Holders":{}}';

const text = (value: Uint8Array | null): string | null =>
  value === null ? null : Buffer.from(value).toString();

conform((consul) => {
  const entryAt = async (key: string): Promise<KVEntry> => {
    const { value: entry } = await consul.client.kv.get(key);
    if (entry === null) throw new Error(`there is no entry ${key}`);
    return entry;
  };
  const apply = async (...operations: readonly KVOperation[]): Promise<readonly KVEntry[]> => {
    const outcome = await consul.client.kv.txn(operations);
    if (!outcome.applied) throw new Error("the transaction failed", { cause: outcome.errors });
    return outcome.entries;
  };
  const contend = async () => {
    const prefix = freshPrefix();
    const session = await consul.session({ Behavior: "delete" });
    const key = `${prefix}/${session}`;
    const write = { key, value: VALUE, flags: FLAGS, session } as const;
    await apply({ verb: "lock", ...write });
    const touch = (): Promise<readonly KVEntry[]> =>
      apply({ verb: "unlock", ...write }, { verb: "lock", ...write });
    return { prefix, session, key, write, touch, before: await entryAt(key) };
  };

  test("a touch moves the lock index and the modify index, and nothing else", async () => {
    const { key, session, touch, before } = await contend();
    const [unlocked, locked] = await touch();
    const after = await entryAt(key);
    expect(after).toEqual({
      ...before,
      lockIndex: before.lockIndex + 1n,
      modifyIndex: after.modifyIndex,
    });
    expect(after.modifyIndex).toBeGreaterThan(before.modifyIndex);
    expect([text(after.value), after.flags, after.session]).toEqual([VALUE, FLAGS, session]);
    // The answer shows both steps with the index of the transaction, and no value.
    const step = { ...after, value: null };
    expect(unlocked).toEqual({ ...step, lockIndex: before.lockIndex, session: null });
    expect(locked).toEqual(step);

    await touch();
    const again = await entryAt(key);
    expect(again.lockIndex).toBe(before.lockIndex + 2n);
    expect(again.modifyIndex).toBeGreaterThan(after.modifyIndex);
    expect(again.createIndex).toBe(before.createIndex);
  });

  test("a touch answers a blocking query on the entry, given the entry's own index", async () => {
    const { prefix, key, touch, before } = await contend();
    // A newer index than the entry's does not count for it.
    await consul.client.kv.put({ key: `${prefix}/.lock`, value: LOCK });
    const waiting = consul.client.kv.get(key, { index: before.modifyIndex, wait: "1m" });
    await touch();
    const { value: seen, meta } = await waiting;
    expect(seen).toEqual(await entryAt(key));
    expect(seen?.modifyIndex).toBeGreaterThan(before.modifyIndex);
    expect(meta.index).toBe(seen?.modifyIndex);
  });

  test("the tail of a queue moves to another session in one transaction, and wakes no waiter", async () => {
    const { prefix, key, session, before } = await contend();
    const other = await consul.session({ Behavior: "delete" });
    const moveTo = async (tail: string): Promise<readonly KVEntry[]> =>
      await apply(
        { verb: "get-tree", key: `${prefix}/.tail/` },
        { verb: "delete-tree", key: `${prefix}/.tail/` },
        { verb: "lock", key: `${prefix}/.tail/${tail}`, session: tail },
      );
    const waiting = consul.client.kv.get(key, { index: before.modifyIndex, wait: "500ms" });
    const [first] = await moveTo(session);
    expect(first).toMatchObject({ key: `${prefix}/.tail/${session}`, session, lockIndex: 1n });
    expect(first?.createIndex).toBe(first?.modifyIndex);
    const [last, second] = await moveTo(other);
    expect(last).toEqual(first);
    expect(second).toMatchObject({ key: `${prefix}/.tail/${other}`, session: other });
    // Again the same one: it is made anew.
    const [, third] = await moveTo(other);
    expect(third?.createIndex).toBeGreaterThan(second?.createIndex ?? 0n);
    expect((await waiting).value).toEqual(before);

    await consul.client.session.destroy(other);
    const { value: left } = await consul.client.kv.list(`${prefix}/.tail/`);
    expect(left).toEqual([]);
  });

  test("nothing but a change of the entry answers it", async () => {
    const { prefix, key, write, before } = await contend();
    const startedAt = performance.now();
    const waiting = consul.client.kv.get(key, { index: before.modifyIndex, wait: "500ms" });
    await consul.client.kv.put({ key: `${prefix}/.lock`, value: LOCK });
    await apply({ verb: "lock", ...write });
    expect((await waiting).value).toEqual(before);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(500);
  });

  test("a touch that another operation fails changes nothing", async () => {
    const { prefix, key, write, before } = await contend();
    const outcome = await consul.client.kv.txn([
      { verb: "unlock", ...write },
      { verb: "lock", ...write },
      { verb: "cas", key: `${prefix}/.lock`, value: LOCK, modifyIndex: 1n },
    ]);
    expect(outcome).toEqual({
      applied: false,
      errors: [{ operation: 2, what: `failed to set key "${prefix}/.lock", index is stale` }],
    });
    expect(await entryAt(key)).toEqual(before);
  });

  test("a touch without the value or the flags takes them away", async () => {
    const { key, session, before } = await contend();
    await apply({ verb: "unlock", key, session }, { verb: "lock", key, session });
    expect(await entryAt(key)).toMatchObject({
      ...{ value: null, flags: 0n, session, createIndex: before.createIndex },
      lockIndex: before.lockIndex + 1n,
    });
  });

  test("no other session can touch an entry", async () => {
    const { key, write, before } = await contend();
    const other = { ...write, session: await consul.session() };
    const outcome = await consul.client.kv.txn([
      { verb: "unlock", ...other },
      { verb: "lock", ...other },
    ]);
    expect(outcome).toMatchObject({ applied: false, errors: [{ operation: 0 }, { operation: 1 }] });
    expect(await entryAt(key)).toEqual(before);
  });

  test("a lock by the session that has it already changes nothing", async () => {
    const { key, write, before } = await contend();
    const [locked] = await apply({ verb: "lock", ...write });
    expect(locked).toEqual({ ...before, value: null });
    expect(await entryAt(key)).toEqual(before);
  });

  test.each([
    ["has been touched", true],
    ["has not", false],
  ])("an entry that %s goes with its session", async (_title, isTouched) => {
    const { key, session, touch } = await contend();
    if (isTouched) await touch();
    const { modifyIndex } = await entryAt(key);
    const waiting = consul.client.kv.get(key, { index: modifyIndex, wait: "1m" });
    await consul.client.session.destroy(session);
    expect((await waiting).value).toBeNull();
    expect((await consul.client.kv.get(key)).value).toBeNull();
  });

  test("a tree read in the transaction that makes the entry shows it, and the others", async () => {
    const { prefix, key: first } = await contend();
    await apply({ verb: "set", key: `${prefix}/.lock`, value: LOCK, flags: FLAGS });
    const session = await consul.session({ Behavior: "delete" });
    const key = `${prefix}/${session}`;
    const [made, ...tree] = await apply(
      { verb: "lock", key, value: "host:43", flags: FLAGS, session },
      { verb: "get-tree", key: `${prefix}/` },
    );
    const entry = await entryAt(key);
    expect(made).toEqual({ ...entry, value: null });
    expect(tree).toEqual((await consul.client.kv.list(`${prefix}/`)).value);
    expect(new Map(tree.map((found) => [found.key, text(found.value)]))).toEqual(
      new Map([
        [`${prefix}/.lock`, LOCK],
        [first, VALUE],
        [key, "host:43"],
      ]),
    );
    expect(entry).toMatchObject({ flags: FLAGS, session, lockIndex: 1n });
    expect(entry.createIndex).toBe(entry.modifyIndex);
  });
});
