import { getEventListeners } from "node:events";

import { expect, test } from "vitest";

import { unlessAborted } from "../../../src/async/unless-aborted.js";

const mishap = new Error("mishap");

test("a promise settles as it does, and leaves no listener", async () => {
  const { signal } = new AbortController();
  expect(await unlessAborted(Promise.resolve(5), signal)).toBe(5);
  await expect(unlessAborted(Promise.reject(mishap), signal)).rejects.toBe(mishap);
  expect(getEventListeners(signal, "abort")).toEqual([]);
  expect(await unlessAborted(Promise.resolve(5), undefined)).toBe(5);
});

test("an abort is faster than a promise that never settles", async () => {
  const controller = new AbortController();
  const endless = unlessAborted(new Promise(() => undefined), controller.signal);
  controller.abort("enough");
  await expect(endless).rejects.toBe("enough");
});

test("a signal that has aborted before is a rejection", async () => {
  const endless = new Promise(() => undefined);
  await expect(unlessAborted(endless, AbortSignal.abort("enough"))).rejects.toBe("enough");
});

test("what is let go may fail without anybody's care", async () => {
  let fail: (error: Error) => void = () => undefined;
  const promise = new Promise((_, reject) => (fail = reject));
  await expect(unlessAborted(promise, AbortSignal.abort("enough"))).rejects.toBe("enough");
  // An unhandled rejection would fail the whole run.
  fail(mishap);
  await new Promise((resolve) => setImmediate(resolve));
});
