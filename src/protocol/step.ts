import type { ContenderEntry } from "./snapshot.js";

/** A contender of this client. */
export interface Waiter {
  readonly session: string;
  readonly limit: number;
  /** Whether it goes by the limit in the lock entry, and by its own only where there is none. */
  readonly adoptsLimit: boolean;
  /** A reading that was sent since then shows its contender entry, unless that is gone. */
  readonly enteredAt: number;
}

/** The waiter that is waited for, and since when. */
export interface Target {
  readonly createIndex: bigint;
  readonly since: number;
}

/** What the first waiter of a client does next. */
export type Step =
  /** Take a slot, passing these waiters ahead of it, which have left it unused. */
  | { readonly kind: "join"; readonly passing: readonly ContenderEntry[] }
  /** Confirm a slot that it has already. */
  | { readonly kind: "rejoin" }
  /** Its contender entry is gone: begin again. */
  | { readonly kind: "gone" }
  /** Read the whole prefix. */
  | { readonly kind: "read prefix" }
  /** Read the lock entry. */
  | { readonly kind: "read lock" }
  /** Read the lock entry after its first change since a join, or after so many milliseconds. */
  | { readonly kind: "read lock after join"; readonly index: bigint; readonly atMost: number }
  /** Read the contender entry right ahead. */
  | { readonly kind: "read entry"; readonly entry: ContenderEntry }
  /** Read the lock entry, and make sure that the holders are alive. */
  | { readonly kind: "check holders" }
  /** Wait for a change of the lock entry, for so many milliseconds at most. */
  | { readonly kind: "watch lock"; readonly atMost: number }
  /** Wait for a change of the contender entry right ahead. */
  | { readonly kind: "watch entry"; readonly entry: ContenderEntry; readonly atMost: number };
