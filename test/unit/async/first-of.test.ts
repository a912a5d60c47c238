import { getEventListeners } from "node:events";

import { expect, test } from "vitest";

import { Cancellation } from "../../../src/async/cancellation.js";
import { FirstOf } from "../../../src/async/first-of.js";

const listeners = (signal: AbortSignal): number => getEventListeners(signal, "abort").length;

test.each([0, 1])("it aborts with whichever comes first, and its reason: %d", (first) => {
  const parents = [new AbortController(), new Cancellation()] as const;
  const either = new FirstOf(parents[0].signal, undefined, parents[1]);
  expect(either.aborted).toBe(false);
  parents[first === 0 ? 0 : 1].abort("first");
  parents[first === 0 ? 1 : 0].abort("second");
  expect(either.reason).toBe("first");
  either.dispose();
});

test("it is aborted from the start where one is", () => {
  const other = new Cancellation();
  expect(new FirstOf(AbortSignal.abort("a"), other).reason).toBe("a");
  other.abort("b");
  expect(new FirstOf(new AbortController().signal, other).reason).toBe("b");
});

test("it has a reason also where a signal of another make has none", () => {
  const bare = { aborted: true, reason: undefined, onabort: null, throwIfAborted: () => undefined };
  const either = new FirstOf(Object.assign(new EventTarget(), bare), new Cancellation());
  expect(either.reason).toMatchObject({ name: "AbortError" });
});

test("it leaves nothing on any, and hears of none, once it is disposed of", () => {
  const [one, other] = [new AbortController(), new AbortController()];
  const either = new FirstOf(one.signal, other.signal);
  expect([listeners(one.signal), listeners(other.signal)]).toEqual([1, 1]);
  either.dispose();
  expect([listeners(one.signal), listeners(other.signal)]).toEqual([0, 0]);
  one.abort();
  expect(either.aborted).toBe(false);
});
