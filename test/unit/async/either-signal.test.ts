import { getEventListeners } from "node:events";

import { expect, test } from "vitest";

import { eitherSignal } from "../../../src/async/either-signal.js";

const listeners = (signal: AbortSignal): number => getEventListeners(signal, "abort").length;

test("of one signal it is that one", () => {
  const { signal } = new AbortController();
  const either = eitherSignal(undefined, signal);
  expect(either.signal).toBe(signal);
  either.dispose();
});

test.each([0, 1])("it aborts with whichever comes first, and its reason: %d", (first) => {
  const controllers = [new AbortController(), new AbortController()] as const;
  const either = eitherSignal(controllers[0].signal, controllers[1].signal);
  expect(either.signal.aborted).toBe(false);
  controllers[first === 0 ? 0 : 1].abort("first");
  controllers[first === 0 ? 1 : 0].abort("second");
  expect(either.signal.reason).toBe("first");
  either.dispose();
});

test("it is aborted from the start where one is", () => {
  expect(eitherSignal(AbortSignal.abort("a"), new AbortController().signal).signal.reason).toBe(
    "a",
  );
  expect(eitherSignal(new AbortController().signal, AbortSignal.abort("b")).signal.reason).toBe(
    "b",
  );
});

test("it leaves nothing on either, and hears of neither, once it is disposed of", () => {
  const [one, other] = [new AbortController(), new AbortController()];
  const either = eitherSignal(one.signal, other.signal);
  expect([listeners(one.signal), listeners(other.signal)]).toEqual([1, 1]);
  either.dispose();
  expect([listeners(one.signal), listeners(other.signal)]).toEqual([0, 0]);
  one.abort();
  expect(either.signal.aborted).toBe(false);
});
