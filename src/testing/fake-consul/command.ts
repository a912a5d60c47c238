import type { Changes, StateStore } from "./state-store.js";

/** A change of the state. All servers apply it with the same index. */
export type Command<Result> = (store: StateStore, index: bigint) => Result;

/** Called after a server has applied a command. */
export type OnApplied = (store: StateStore, changes: Changes, index: bigint) => void;
