import { posix } from "node:path";

import {
  DEFAULT_SEMAPHORE_KEY,
  SEMAPHORE_FLAG_VALUE,
  type ConsulClient,
  type Contender,
  type KVEntry,
  type QueryOptions,
  type SessionEntry,
} from "consul-semaphore";

import { EXIT_REFUSED } from "./exit-codes.js";
import { failureOf } from "./failure.js";
import { printable } from "./printable.js";

/** A holder or a waiter. */
export interface Member {
  readonly session: string;
  /** What it was given to show people, as one line; empty for nothing. */
  readonly value: string;
  /** When it came, as an index of Consul's; for a holder of this library's when it got its slot. */
  readonly index: bigint;
}

/** A semaphore at one moment. */
export interface PrefixView {
  /** `undefined` where there is no lock entry. */
  readonly limit: number | undefined;
  /** In the order of their arrival. */
  readonly holders: readonly Member[];
  readonly waiters: readonly Member[];
  /** The sessions that the lock entry still names as holders, and that hold no longer. */
  readonly dead: readonly string[];
  /** Consul's index, for the next blocking query. */
  readonly index: bigint;
}

/**
 * Reads a prefix in one request, so that nobody is seen twice.
 *
 * @throws as `inspect()` of a semaphore
 */
export async function readPrefix(
  consul: ConsulClient,
  prefix: string,
  options: QueryOptions = {},
): Promise<PrefixView> {
  // It is the judge of the prefix, and of a lock entry that cannot be read.
  const semaphore = consul.semaphorePrefix(prefix, 1);
  const folder = `${posix.normalize(prefix).replace(/\/$/, "")}/`;
  const { value: entries, meta } = await consul.kv.list(folder, { consistent: true, ...options });
  const { index } = meta;
  const found = entries.find(({ key }) => key === folder + DEFAULT_SEMAPHORE_KEY);
  const lock = readLock(found);
  if (lock !== undefined && meta.resultsFilteredByACLs !== true) {
    const members = membersOf(folder, entries, lock.holders);
    // A list leaves out what the token may not read, older agents without a word: `inspect` is refused.
    if (found === undefined || members.dead.length > 0) await semaphore.inspect();
    return { ...members, limit: lock.limit, index };
  }
  const { limit, holders, waiters } = await semaphore.inspect();
  return { limit, holders: holders.map(memberOf), waiters: waiters.map(memberOf), dead: [], index };
}

function membersOf(
  folder: string,
  entries: readonly KVEntry[],
  holding: ReadonlySet<string>,
): Pick<PrefixView, "holders" | "waiters" | "dead"> {
  const contenders = entries
    .flatMap((entry) => {
      const { key, session } = entry;
      return session !== null && key === folder + session ? [{ ...entry, session }] : [];
    })
    .sort((one, other) => (one.createIndex < other.createIndex ? -1 : 1));
  const alive = new Set(contenders.map(({ session }) => session));
  const holds = ({ session }: { readonly session: string }): boolean => holding.has(session);
  return {
    holders: contenders.filter(holds).map(memberOf),
    waiters: contenders.filter((contender) => !holds(contender)).map(memberOf),
    dead: [...holding].filter((session) => !alive.has(session)),
  };
}

/** `undefined` for what is not a semaphore's, or is not understood. */
function readLock(
  entry: KVEntry | undefined,
): { readonly limit: number | undefined; readonly holders: ReadonlySet<string> } | undefined {
  const holders = new Set<string>();
  if (entry === undefined) return { limit: undefined, holders };
  if (entry.flags !== SEMAPHORE_FLAG_VALUE || entry.value === null) return undefined;
  try {
    let limit: unknown;
    // As Go's decoder, which takes names in any case.
    for (const [name, field] of fieldsOf(JSON.parse(Buffer.from(entry.value).toString()))) {
      if (/^limit$/i.test(name)) limit = field;
      if (/^holders$/i.test(name)) for (const [session] of fieldsOf(field)) holders.add(session);
    }
    return typeof limit === "number" ? { limit, holders } : undefined;
  } catch {
    return undefined;
  }
}

function fieldsOf(value: unknown): readonly (readonly [string, unknown])[] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}

function memberOf({
  session,
  value,
  createIndex,
  modifyIndex = createIndex,
}: Contender & { readonly modifyIndex?: bigint }): Member {
  return { session, value: textOf(value), index: modifyIndex };
}

const LONGEST_VALUE = 200;

function textOf(value: Uint8Array | null): string {
  const text = printable(Buffer.from(value ?? []).toString());
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}...` : text;
}

/** The sessions by ID: none of those that the token may not read. */
export async function readSessions(
  consul: ConsulClient,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, SessionEntry>> {
  try {
    const { value } = await consul.session.list({ signal });
    return new Map(value.map((session) => [session.id, session]));
  } catch (error) {
    if (failureOf(error).exitCode !== EXIT_REFUSED) throw error;
    return new Map();
  }
}
