// What an example in a comment, in the README or in docs may use without saying where it has it from, besides
// the names that the package exports. Nobody runs them.
import type { ConsulClient, Semaphore, SemaphoreSlot } from "consul-semaphore";

interface Work {
  readonly signal: AbortSignal;
}

export declare const consul: ConsulClient;
export declare const sem: Semaphore;
export declare const slot: SemaphoreSlot;
/** The ID of a session. */
export declare const session: string;
export declare const signal: AbortSignal;

export declare function work(options: Work): Promise<void>;
export declare function addUp(invoice: string, options: Work): Promise<string>;

export declare const image: Uint8Array;
export declare function resize(image: Uint8Array, options: Work): Promise<void>;

export declare const items: Iterable<string>;
export declare function handle(item: string): Promise<void>;

export declare const url: string;
export declare function askBackend(path: string, signal: AbortSignal): Promise<string>;

export declare function lead(token: bigint, signal: AbortSignal): Promise<void>;

// Of a service in a process of its own.
export { spawn } from "node:child_process";

// Of test runners: Node's own, and Vitest.
export { mock } from "node:test";
export { expect, vi } from "vitest";
