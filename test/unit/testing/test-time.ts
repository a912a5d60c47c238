import { onTestFinished, vi } from "vitest";

import { TestConsul, type TestConsulOptions } from "consul-semaphore/testing";

/** A Consul on fake timers, as a service's test makes one. Nothing of it may outlive the test. */
export function startConsul(options?: TestConsulOptions): TestConsul {
  vi.useFakeTimers();
  const consul = new TestConsul(options);
  onTestFinished(async () => {
    await consul.close();
    const timers = vi.getTimerCount();
    vi.useRealTimers();
    if (timers > 0) throw new Error(`${timers} timers were left behind`);
  });
  return consul;
}

/** Lets time pass, and promises settle in between. */
export async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** Tells whether a promise has settled by now. */
export function observe(promise: Promise<unknown>): { readonly settled: boolean } {
  const state = { settled: false };
  const settle = (): void => {
    state.settled = true;
  };
  promise.then(settle, settle);
  return state;
}
