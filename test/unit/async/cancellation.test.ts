import { describe, expect, test, vi } from "vitest";

import { Cancellation } from "../../../src/async/cancellation.js";
import { onAbort } from "../../../src/async/on-abort.js";

describe("a cancellation", () => {
  test("calls back once, with the first reason", () => {
    const cancellation = new Cancellation();
    const calls = [vi.fn(), vi.fn()];
    for (const call of calls) onAbort(cancellation, call);
    expect(cancellation.aborted).toBe(false);
    cancellation.abort("enough");
    cancellation.abort("again");
    for (const call of calls) expect(call).toHaveBeenCalledOnce();
    expect(cancellation.aborted).toBe(true);
    expect(cancellation.reason).toBe("enough");
  });

  test("has aborted before it calls back", () => {
    const cancellation = new Cancellation();
    const seen: unknown[] = [];
    onAbort(cancellation, () => seen.push(cancellation.aborted, cancellation.reason));
    cancellation.abort(null);
    expect(seen).toEqual([true, null]);
  });

  test("has the reason of an AbortController where it is given none", () => {
    const cancellation = new Cancellation();
    cancellation.abort(undefined);
    expect(cancellation.reason).toMatchObject({ name: "AbortError" });
    expect(cancellation.signal.reason).toBe(cancellation.reason);
  });

  test.each([
    ["a cancellation", new Cancellation()],
    ["an AbortController", new AbortController()],
  ])("goes on where a callback of %s throws, which is uncaught", (_, source) => {
    const uncaught: (() => void)[] = [];
    vi.spyOn(process, "nextTick").mockImplementation((throws) => {
      uncaught.push(() => {
        Reflect.apply(throws, undefined, []);
      });
    });
    const call = vi.fn();
    const ending = source instanceof Cancellation ? source : source.signal;
    onAbort(ending, () => {
      throw new Error("thrown by a callback");
    });
    onAbort(ending, call);
    source.abort("enough");
    vi.restoreAllMocks();
    expect(call).toHaveBeenCalledOnce();
    expect(uncaught).toHaveLength(1);
    expect(uncaught[0]).toThrow("thrown by a callback");
  });

  test("calls back at once what comes after it was aborted", () => {
    const cancellation = new Cancellation();
    cancellation.abort("over");
    const call = vi.fn();
    onAbort(cancellation, call)();
    expect(call).toHaveBeenCalledOnce();
  });

  test("does not call what was taken off, the same function once for each time it was given", () => {
    const cancellation = new Cancellation();
    const call = vi.fn();
    const off = onAbort(cancellation, call);
    onAbort(cancellation, call);
    off();
    off();
    cancellation.abort("enough");
    expect(call).toHaveBeenCalledOnce();
  });

  test("does not call what another callback has taken off meanwhile", () => {
    const cancellation = new Cancellation();
    const call = vi.fn();
    onAbort(cancellation, () => {
      off();
    });
    const off = onAbort(cancellation, call);
    cancellation.abort("enough");
    expect(call).not.toHaveBeenCalled();
  });

  test("throws its reason once it was aborted", () => {
    const cancellation = new Cancellation();
    cancellation.throwIfAborted();
    cancellation.abort("enough");
    expect(() => {
      cancellation.throwIfAborted();
    }).toThrow("enough");
  });

  test("has one signal for users, whenever they ask for it", () => {
    const cancellation = new Cancellation();
    const { signal } = cancellation;
    expect(cancellation.signal).toBe(signal);
    expect(signal.aborted).toBe(false);
    cancellation.abort("enough");
    expect(signal.reason).toBe("enough");
    const late = new Cancellation();
    late.abort("over");
    expect(late.signal.reason).toBe("over");
  });

  test("tells users first", () => {
    const cancellation = new Cancellation();
    const heard: string[] = [];
    onAbort(cancellation, () => heard.push("callback"));
    cancellation.signal.addEventListener("abort", () => heard.push("user"));
    cancellation.abort("enough");
    expect(heard).toEqual(["user", "callback"]);
  });
});
