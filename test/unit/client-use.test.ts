import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { ClientUse, clientUse } from "../../src/client-use.js";
import { ConsulClient, SemaphoreClosedError } from "../../src/index.js";
import { Watched } from "./outcome.js";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});

afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const wait = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

/** A call that ends when the test says so. */
function deferred(): {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
} {
  let resolve: (() => void) | undefined;
  let reject: ((error: Error) => void) | undefined;
  const promise = new Promise<void>((...settle) => {
    [resolve, reject] = settle;
  });
  return {
    promise,
    resolve: () => resolve?.(),
    reject: (error) => reject?.(error),
  };
}

test("all semaphores of a client have the same", () => {
  const [one, other] = [new ConsulClient(), new ConsulClient()];
  expect(clientUse(one)).toBe(clientUse(one));
  expect(clientUse(one)).not.toBe(clientUse(other));
});

test("an end tells who waits, and gives back what is held and no more", async () => {
  const use = new ClientUse();
  const [held, gone] = [{ release: vi.fn() }, { release: vi.fn() }];
  held.release.mockReturnValue(Promise.reject(new Error("not told to anybody")));
  use.hold(held);
  use.hold(gone);
  use.letGo(gone);
  expect(use.closing.aborted).toBe(false);
  await use.end(1_000);
  expect(use.closing.reason).toBeInstanceOf(SemaphoreClosedError);
  expect(held.release).toHaveBeenCalledOnce();
  expect(gone.release).not.toHaveBeenCalled();
});

test("an end waits for calls that are under way, whatever they come to", async () => {
  const use = new ClientUse();
  const calls = [deferred(), deferred()];
  for (const { promise } of calls) use.track(promise);
  use.track(Promise.resolve());
  await wait();
  const end = new Watched(use.end(1_000));
  calls[0]?.reject(new Error("it failed"));
  await wait(500);
  expect(end.outcome).toBeUndefined();
  calls[1]?.resolve();
  await wait();
  expect(end.outcome).toBeDefined();
});

test("an end does not wait for longer than it may", async () => {
  const use = new ClientUse();
  use.track(new Promise(() => undefined));
  const end = new Watched(use.end(1_000));
  await wait(999);
  expect(end.outcome).toBeUndefined();
  await wait(1);
  expect(end.outcome).toBeDefined();
});
