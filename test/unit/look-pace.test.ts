import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { pauseBeforeLook, type QueueOutlook } from "../../src/queue/look-pace.js";

const outlook = (given: Partial<QueueOutlook>): QueueOutlook => ({
  contenders: 10,
  waits: true,
  ahead: 0,
  othersHold: false,
  isAnyFree: false,
  msPerMove: 0,
  ...given,
});

describe("the pause before a look", () => {
  test.each<[string, Partial<QueueOutlook>, number]>([
    ["is long where only holders want to know", { waits: false }, 200],
    ["and no shorter however many contend", { waits: false, contenders: 10_000 }, 200],
    ["and no shorter whoever else holds", { waits: false, othersHold: true, ahead: 3 }, 200],
    ["is short where the next slot may come from others", { othersHold: true, msPerMove: 8 }, 2],
    ["and no longer where they take long", { othersHold: true, ahead: 1, msPerMove: 1_000 }, 4],
    ["and none while nobody knows how long they take", { othersHold: true }, 0],
    ["is what the listing costs where it can come from us alone", { contenders: 40 }, 16],
    ["is bounded where the listing is long", { contenders: 4_000 }, 100],
    ["is most of the time for which others come first", { ahead: 3, msPerMove: 20 }, 30],
    ["is that also where others hold", { ahead: 3, msPerMove: 20, othersHold: true }, 30],
    ["is bounded where others come first for long", { ahead: 9, msPerMove: 1_000 }, 100],
    ["is longer where many come first", { ahead: 10, msPerMove: 1_000 }, 250],
    ["is short while a slot is free", { ahead: 3, msPerMove: 1_000, isAnyFree: true }, 60],
    ["is bounded while a slot is free", { ahead: 50, msPerMove: 1_000, isAnyFree: true }, 250],
    ["is short for all of us while one is free", { contenders: 400, isAnyFree: true }, 20],
    ["is none while nobody knows how long others take", { ahead: 3, msPerMove: 0 }, 0],
  ])("%s", (_, given, pause) => {
    expect(pauseBeforeLook(outlook(given))).toBe(pause);
  });

  test("is never longer than what a waiter would not feel, nor than a loss may take", () => {
    const anyOutlook = fc.record({
      contenders: fc.nat(),
      waits: fc.boolean(),
      ahead: fc.nat(),
      othersHold: fc.boolean(),
      isAnyFree: fc.boolean(),
      msPerMove: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
    });
    fc.assert(
      fc.property(anyOutlook, (given) => {
        const pause = pauseBeforeLook(given);
        expect(pause).toBeGreaterThanOrEqual(0);
        expect(pause).toBeLessThanOrEqual(given.waits ? (given.ahead < 10 ? 100 : 250) : 200);
      }),
    );
  });
});
