import { describe, expect, test } from "vitest";

import { SettledEvents } from "../../../examples/timeline/settled-events.js";
import {
  abandonedSlots,
  holdsOf,
  mostAtOnce,
  takenSlotsOf,
} from "../../../examples/timeline/view/slot-usage.js";
import { advance, spanAt, type Activity } from "../../../examples/timeline/view/timeline.js";
import { mishaps, takeover, timelineOf, type Events } from "./runs.js";

describe("the reducer", () => {
  test.each<[number, Activity]>([
    [-1, "resting"],
    [0, "waiting"],
    [999, "waiting"],
    [1_000, "holding"],
    [7_000, "resting"],
    [7_500, "holding"],
    [16_000, "resting"],
  ])("at %d ms w2 is %s", (at, activity) => {
    const lane = takeover.lanes.find(({ worker }) => worker === "w2");
    expect(lane && spanAt(lane, at).activity).toBe(activity);
  });

  test("puts an event that comes in late where it belongs", () => {
    const late = timelineOf([1, "w1", "waits"], [3, "w1", "releases"], [2, "w1", "acquires"]);
    expect(late).toEqual(
      timelineOf([1, "w1", "waits"], [2, "w1", "acquires"], [3, "w1", "releases"]),
    );
  });

  test("knows nothing of a worker after its kill, but may hear of what it did before", () => {
    const killed = timelineOf(
      [1, "w1", "waits"],
      [5, "w1", "is killed"],
      [6, "w1", "leaves"],
      [2, "w1", "acquires"],
    );
    expect(holdsOf(killed)).toEqual([{ worker: "w1", from: 2, to: 5 }]);
  });

  test("leaves the timeline before it as it was", () => {
    const before = timelineOf([1, "w1", "waits"]);
    const copy = structuredClone(before);
    advance(before, { at: 2, worker: "w1", type: "acquires" });
    expect(before).toEqual(copy);
  });
});

describe("the most slots in use at once", () => {
  test.each<[string, number, Events]>([
    ["nobody came", 0, []],
    ["one came", 1, [[1, "w1", "acquires"]]],
    [
      "one came at the moment another left",
      1,
      [
        [1, "w1", "acquires"],
        [2, "w1", "releases"],
        [2, "w2", "acquires"],
      ],
    ],
    [
      "three were in for a microsecond",
      3,
      [
        [1, "w1", "acquires"],
        [1, "w2", "acquires"],
        [2, "w3", "acquires"],
        [2.001, "w1", "releases"],
      ],
    ],
    [
      "one came at the moment another was killed",
      2,
      [
        [1, "w1", "acquires"],
        [1, "w2", "acquires"],
        [2, "w1", "is killed"],
        [2, "w3", "acquires"],
      ],
    ],
  ])("when %s: %d", (_, most, events) => {
    expect(mostAtOnce(holdsOf(timelineOf(...events)))).toBe(most);
  });
});

describe("a slot that was not released", () => {
  test("is taken over by whoever fills the limit again, not by who uses the other slot", () => {
    expect(abandonedSlots(takeover)).toEqual([
      { worker: "w1", cause: "is killed", at: 5_000, takenOver: { worker: "w3", at: 10_000 } },
    ]);
    expect(abandonedSlots(mishaps)).toEqual([
      { worker: "w1", cause: "loses its slot", at: 5_000, takenOver: { worker: "w3", at: 8_000 } },
      { worker: "w2", cause: "is killed", at: 10_000, takenOver: { worker: "w3", at: 15_000 } },
    ]);
  });

  test("is one of two, each with a successor", () => {
    const both = timelineOf(
      [1, "w1", "acquires"],
      [1, "w2", "acquires"],
      [2, "w1", "loses its slot"],
      [3, "w2", "is killed"],
      [8, "w3", "acquires"],
      [9, "w1", "acquires"],
    );
    expect(abandonedSlots(both)).toMatchObject([
      { worker: "w1", takenOver: { worker: "w3" } },
      { worker: "w2", takenOver: { worker: "w1" } },
    ]);
  });

  test("counts as taken until then", () => {
    const taken = takenSlotsOf(takeover);
    expect([4_999, 7_200, 9_999, 10_000].map((at) => mostAtOnce(taken, at, at))).toEqual([
      2, 1, 2, 2,
    ]);
    expect(mostAtOnce(taken)).toBe(2);
  });

  test("does not exist if it held none", () => {
    expect(abandonedSlots(timelineOf([1, "w1", "waits"], [2, "w1", "is killed"]))).toEqual([]);
  });
});

test("events of several processes come in the order of time, once they have settled", () => {
  const events = new SettledEvents();
  events.add({ at: 20, worker: "w2", type: "acquires" });
  events.add({ at: 10, worker: "w1", type: "releases" });
  events.add({ at: 900, worker: "w1", type: "waits" });
  expect(events.take(15)).toEqual([]);
  expect(events.take(500).map(({ at }) => at)).toEqual([10, 20]);
  expect(events.take().map(({ at }) => at)).toEqual([900]);
  expect(events.take()).toEqual([]);
});
