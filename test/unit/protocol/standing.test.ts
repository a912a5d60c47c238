import { describe, expect, test } from "vitest";

import { standingOf } from "../../../src/protocol/standing.js";
import { contenders, HEARD, lockOf, passedUntil, viewOf, waiter } from "./views.js";

describe("how things stand", () => {
  const view = viewOf({
    lock: lockOf(3, ["h", "i", "j"]),
    dead: new Map([["j", 0n]]),
    waiters: contenders(7, 8, 9, 10),
    passed: passedUntil(HEARD + 1, 7),
  });

  test("is how many hold, and how many are ahead that are waited for", () => {
    expect(standingOf(view, waiter(9).session, HEARD)).toEqual({ held: 2, limit: 3, ahead: 1 });
  });

  test("is for one that has not entered that all are ahead", () => {
    expect(standingOf(view, undefined, HEARD)).toEqual({ held: 2, limit: 3, ahead: 3 });
    expect(standingOf(view, "unknown", HEARD)).toEqual({ held: 2, limit: 3, ahead: 3 });
  });

  test("is not known where nobody has written a lock", () => {
    expect(standingOf(viewOf({ lock: lockOf(undefined, [], 0n) }), "x", HEARD)).toBeUndefined();
  });
});
