import type { Changes, StateStore } from "./state-store.js";

/** A change of the state; all servers apply it with the same index. */
export type Command<Result> = (store: StateStore, index: bigint) => Result;

/** Who wants to know that a server has applied a command. */
export type OnApplied = (store: StateStore, changes: Changes, index: bigint) => void;
