import { AsyncLocalStorage } from "node:async_hooks";

import { expect, test } from "vitest";

import { inSharedContext } from "../../../src/async/shared-context.js";

test("what runs in the shared context sees nothing of the caller's, nor does what it starts", async () => {
  const storage = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  const ours = await storage.run("the caller's", async () => {
    await inSharedContext(async () => {
      seen.push(storage.getStore());
      await new Promise((resolve) => setTimeout(resolve, 1));
      seen.push(storage.getStore());
    });
    // The caller is back in its own.
    return storage.getStore();
  });
  expect(seen).toEqual([undefined, undefined]);
  expect(ours).toBe("the caller's");
});

test("the result and the error of the function are the caller's", () => {
  expect(inSharedContext(() => "result")).toBe("result");
  expect(() =>
    inSharedContext(() => {
      throw new Error("it failed");
    }),
  ).toThrow("it failed");
});
