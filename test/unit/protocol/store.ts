import type { KVEntry } from "../../../src/consul/kv.js";
import type { KVOperation } from "../../../src/consul/transaction.js";
import { prefixKeys, type PrefixKeys } from "../../../src/protocol/keys.js";
import { readSnapshot, type Snapshot } from "../../../src/protocol/snapshot.js";
import type { KvEntry } from "../../../src/testing/fake-consul/kv-entry.js";
import { StateStore } from "../../../src/testing/fake-consul/state-store.js";
import { transact } from "../../../src/testing/fake-consul/transaction.js";

/** What Consul keeps, without the server and the network before it. */
export class Store {
  readonly keys: PrefixKeys = prefixKeys("jobs");
  readonly #state = new StateStore();
  #index = 0n;
  #sessions = 0;

  /** Creates a session whose entries go when it ends. */
  createSession(): string {
    const index = this.#nextIndex();
    this.#sessions += 1;
    const id = `00000000-0000-0000-0000-${String(this.#sessions).padStart(12, "0")}`;
    this.#state.createSession({
      ...{ id, name: "", node: "fake-consul", behavior: "delete", ttl: "15s", lockDelay: 0n },
      ...{ nodeChecks: null, serviceChecks: null, checks: null },
      ...{ createIndex: index, modifyIndex: index },
    });
    this.#state.commit();
    return id;
  }

  endSession(session: string): void {
    this.#state.destroySession(session, this.#nextIndex(), 0);
    this.#state.commit();
  }

  /** Applies the operations, or none of them. Returns the keys of those that failed. */
  write(operations: readonly KVOperation[]): readonly string[] {
    const outcome = transact(this.#state, operations.map(asRequest), this.#nextIndex());
    this.#state.commit();
    if ("results" in outcome) return [];
    return outcome.errors.map(({ operation }) => operations[operation]?.key ?? "");
  }

  get(key: string): KVEntry | null {
    const entry = this.#state.kv.get(key);
    return entry === undefined ? null : asRead(entry);
  }

  list(): readonly KVEntry[] {
    return this.#state.kv.below(this.keys.prefix).map(asRead);
  }

  snapshot(): Snapshot {
    return readSnapshot(this.keys, this.list());
  }

  #nextIndex(): bigint {
    this.#index += 1n;
    return this.#index;
  }
}

function asRequest(operation: KVOperation) {
  const { value, flags, session, modifyIndex } = {
    ...{ value: "", flags: 0n, session: "", modifyIndex: 0n },
    ...operation,
  };
  return {
    ...{ verb: operation.verb, key: operation.key, flags: flags ?? 0n, session },
    ...{ index: modifyIndex, value: Buffer.from(value ?? "").toString("latin1") },
  };
}

function asRead({ value, session, ...entry }: KvEntry): KVEntry {
  return {
    ...entry,
    value: value === "" ? null : Buffer.from(value, "latin1"),
    session: session === "" ? null : session,
  };
}
