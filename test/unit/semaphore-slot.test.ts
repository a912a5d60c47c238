import { expect, test, vi } from "vitest";

import { SemaphoreLostError, SemaphoreReleasedError } from "../../src/semaphore-errors.js";
import { HeldSlot } from "../../src/semaphore-slot.js";
import type { SessionLease } from "../../src/session-lease.js";

function leaseUntil(expiresAt: number): SessionLease & { readonly controller: AbortController } {
  const controller = new AbortController();
  return {
    controller,
    id: "a session",
    lost: controller.signal,
    expiresAt,
    own: true,
    end: () => Promise.resolve(),
  };
}

test("is held until its session's term is over, even if nobody has had time to say so", () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  try {
    const slot = new HeldSlot(leaseUntil(performance.now() + 15_000), () => Promise.resolve());
    vi.advanceTimersByTime(14_999);
    expect(slot.held).toBe(true);
    vi.advanceTimersByTime(1);
    expect(slot.held).toBe(false);
    expect(slot.signal.aborted).toBe(false);
  } finally {
    vi.useRealTimers();
  }
});

test("ends with the loss of its session, and the first reason stays", () => {
  const lease = leaseUntil(Infinity);
  const slot = new HeldSlot(lease, () => Promise.resolve());
  expect(slot.held).toBe(true);
  const loss = new SemaphoreLostError("session-expired");
  lease.controller.abort(loss);
  expect(slot.held).toBe(false);
  slot.end(new SemaphoreReleasedError());
  expect(slot.signal.reason).toBe(loss);
});

test("does not hear of its session any more once it has been released", () => {
  const lease = leaseUntil(Infinity);
  const slot = new HeldSlot(lease, () => Promise.resolve());
  const released = new SemaphoreReleasedError();
  slot.end(released);
  lease.controller.abort(new SemaphoreLostError("session-invalidated"));
  expect(slot.signal.reason).toBe(released);
});

test("is released once, however often that is asked for", async () => {
  const release = vi.fn(() => Promise.resolve());
  const slot = new HeldSlot(leaseUntil(Infinity), release);
  await slot.release();
  await slot[Symbol.asyncDispose]();
  expect(release).toHaveBeenCalledTimes(1);
});
