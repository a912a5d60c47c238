import { getEventListeners } from "node:events";

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { Place } from "../../src/queue/place.js";
import { SessionLease } from "../../src/session/lease.js";
import { FakeSessions, SESSION } from "./session/fake-sessions.js";
import { after } from "./failures.js";
import { Watched } from "./outcome.js";
import { rejectionOf } from "./rejection.js";

const TTL = 16_000;

let start: number;
let lease: SessionLease;
let place: Place;
let controller: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  start = performance.now();
  controller = new AbortController();
  const term = { sentAt: start, ttl: TTL };
  lease = new SessionLease(new FakeSessions(), { id: SESSION, term, own: true, scope: {} });
  place = new Place(lease, 3, { wait: 1_000, grace: 100 });
});

afterEach(() => {
  lease.stop();
  vi.useRealTimers();
});

/** Waits until `ready`. */
const waiting = (ready: () => boolean): Watched<void> =>
  new Watched(place.until(ready, controller.signal));

const flush = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

const never = (): boolean => false;

test("a place is that of its session, since it was taken", async () => {
  await vi.advanceTimersByTimeAsync(10);
  expect(place).toMatchObject({ session: SESSION, limit: 3, since: start });
  expect(place).toMatchObject({ joinedAt: undefined, mayHold: false, isUnsettled: false });
});

describe("a slot can be passed on to a place", () => {
  test("while it waits", () => {
    expect(place.isOpen).toBe(true);
  });

  test("but not while it tries by itself", async () => {
    const trying = place.trying(() => after(10, "result"));
    expect(place.isOpen).toBe(false);
    await vi.advanceTimersByTimeAsync(10);
    expect(await trying).toBe("result");
    expect(place.isOpen).toBe(true);
  });

  test("and again after a try that failed", async () => {
    const failure = new Error("it failed");
    expect(await rejectionOf(place.trying(() => Promise.reject(failure)))).toBe(failure);
    expect(place.isOpen).toBe(true);
  });

  test("by one at a time", () => {
    place.offer();
    expect(place).toMatchObject({ isOpen: false, isBeingHanded: true });
    place.withdrawOffer();
    expect(place).toMatchObject({ isOpen: true, isBeingHanded: false, isUnsettled: false });
  });

  test("but not while nobody knows whether it has one", () => {
    place.offer();
    place.leaveUnsettled();
    expect(place).toMatchObject({ isOpen: false, isBeingHanded: false, isUnsettled: true });
    place.settle();
    expect(place).toMatchObject({ isOpen: true, isUnsettled: false });
  });

  test("but not once it has one", () => {
    place.offer();
    place.hand(42n);
    expect(place).toMatchObject({ isOpen: false, isBeingHanded: false, joinedAt: 42n });
  });

  test("but not once its session is over", () => {
    vi.spyOn(performance, "now").mockReturnValue(start + TTL);
    expect(place.isOpen).toBe(false);
    vi.restoreAllMocks();
  });
});

test.each<[string, () => void]>([
  ["taken place", () => undefined],
  [
    "taken place, whatever else is known",
    () => {
      place.withdrawOffer();
    },
  ],
  [
    "an answer",
    () => {
      place.leaveUnsettled();
    },
  ],
])("a place may hold once one was offered that has not %s", (_, come) => {
  place.offer();
  come();
  expect(place.mayHold).toBe(true);
});

describe("a place that waits", () => {
  test("asks at once whether there is anything to wait for", async () => {
    const wait = waiting(() => true);
    await flush();
    expect(wait.outcome).toEqual({ value: undefined, at: start });
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  test("asks again each time it is woken", async () => {
    let isReady = false;
    const ready = vi.fn(() => isReady);
    const wait = waiting(ready);
    for (const asked of [1, 2, 3]) {
      await flush();
      expect(ready).toHaveBeenCalledTimes(asked);
      expect(wait.outcome).toBeUndefined();
      expect(getEventListeners(controller.signal, "abort")).toHaveLength(1);
      isReady = asked === 3;
      place.wake();
    }
    await flush();
    expect(wait.outcome).toBeDefined();
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  test.each<[string, () => void]>([
    [
      "a slot handed to it",
      () => {
        place.offer();
        place.hand(42n);
      },
    ],
    [
      "an offer withdrawn",
      () => {
        place.offer();
        place.withdrawOffer();
      },
    ],
    [
      "an offer that nobody knows about",
      () => {
        place.offer();
        place.leaveUnsettled();
      },
    ],
    [
      "a failure that concerns it",
      () => {
        place.fail(new Error("it failed"));
      },
    ],
  ])("is woken by %s", async (_, happen) => {
    const ready = vi.fn(never);
    waiting(ready);
    await flush();
    ready.mockReturnValue(true);
    happen();
    await flush();
    expect(ready).toHaveBeenCalledTimes(2);
  });

  test("is left alone while a slot is on its way to it", async () => {
    let isReady = false;
    const wait = waiting(() => isReady);
    await flush();
    place.offer();
    isReady = true;
    place.wake();
    await flush();
    expect(wait.outcome).toBeUndefined();
    place.hand(42n);
    await flush();
    expect(wait.outcome).toBeDefined();
  });

  test("waits for a slot that is on its way to it already", async () => {
    place.offer();
    const wait = waiting(() => true);
    await flush();
    expect(wait.outcome).toBeUndefined();
    place.withdrawOffer();
    await flush();
    expect(wait.outcome).toBeDefined();
  });

  test("ends with the signal, also while a slot is on its way to it", async () => {
    place.offer();
    const wait = waiting(never);
    await flush();
    controller.abort();
    await flush();
    expect(wait.outcome).toBeDefined();
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  test("does not begin where the signal has aborted", async () => {
    controller.abort();
    const ready = vi.fn(never);
    const wait = waiting(ready);
    await flush();
    expect(wait.outcome).toBeDefined();
    expect(ready).not.toHaveBeenCalled();
  });
});

test("a failure is told once", () => {
  expect(place.hasFailure).toBe(false);
  const error = new Error("it failed");
  place.fail(error);
  expect(place.hasFailure).toBe(true);
  expect(place.takeFailure()).toEqual({ error });
  expect(place.hasFailure).toBe(false);
  expect(place.takeFailure()).toBeUndefined();
});
