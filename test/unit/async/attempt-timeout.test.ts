import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { attemptTimeout } from "../../../src/async/attempt-timeout.js";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});

afterEach(() => {
  vi.useRealTimers();
});

test.each([
  ["what is left", 4_321, 4_321],
  ["ten seconds where there is more", 10_001, 10_000],
  ["ten seconds where there is no end", Infinity, 10_000],
  ["a second where there is less", 999, 1_000],
  ["a second also where the time is over", -5_000, 1_000],
])("an attempt may take %s", (_, left, timeout) => {
  expect(attemptTimeout(performance.now() + left)).toBe(timeout);
});
