import { describe, expect, test } from "vitest";

import { headlinesOf } from "../../examples/timeline/headlines.js";
import { pictureOf } from "../../examples/timeline/view/picture.js";
import { chooseVictim, STORY } from "../../examples/timeline/scenario.js";
import { SettledEvents } from "../../examples/timeline/settled-events.js";
import {
  holdsOf,
  mostAtOnce,
  orphanedSlot,
  takenSlotsOf,
} from "../../examples/timeline/view/slot-usage.js";
import { print } from "../../examples/timeline/view/styled-line.js";
import { shortcomingsOf, summaryOf } from "../../examples/timeline/summary.js";
import {
  activityAt,
  advance,
  startTimeline,
  type Activity,
  type Timeline,
  type TimelineEvent,
} from "../../examples/timeline/view/timeline.js";

type PlainType = Exclude<TimelineEvent["type"], "loses its slot" | "fails">;

type Events = [at: number, worker: string, type: PlainType][];

/** The timeline of three workers and two slots. */
function timelineOf(...events: Events): Timeline {
  return events
    .map(([at, worker, type]): TimelineEvent => ({ at, worker, type }))
    .reduce(advance, startTimeline(["w1", "w2", "w3"], 2));
}

/** w1 and w2 hold, w3 waits, w1 is killed, and in time w3 has its slot. */
const takeover = timelineOf(
  [0, "w1", "waits"],
  [0, "w2", "waits"],
  [1_000, "w1", "acquires"],
  [1_000, "w2", "acquires"],
  [2_000, "w3", "waits"],
  [5_000, "w1", "is killed"],
  [7_000, "w2", "releases"],
  [7_500, "w2", "waits"],
  [7_500, "w2", "acquires"],
  [10_000, "w3", "acquires"],
  [15_000, "w2", "releases"],
  [15_000, "w3", "releases"],
);

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
    expect(lane && activityAt(lane, at)).toBe(activity);
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

describe("the slot of a worker that was killed", () => {
  test("is taken over by whoever fills the limit again, not by who uses the other slot", () => {
    expect(orphanedSlot(takeover)).toEqual({
      worker: "w1",
      killedAt: 5_000,
      takenOver: { worker: "w3", at: 10_000 },
    });
  });

  test("counts as taken until then", () => {
    const taken = takenSlotsOf(takeover);
    expect([4_999, 7_200, 9_999, 10_000].map((at) => mostAtOnce(taken, at, at))).toEqual([
      2, 1, 2, 2,
    ]);
    expect(mostAtOnce(taken)).toBe(2);
  });

  test("does not exist if it held none", () => {
    expect(orphanedSlot(timelineOf([1, "w1", "waits"], [2, "w1", "is killed"]))).toBeUndefined();
  });
});

describe("whom to kill", () => {
  const waiter: Events[number] = [0, "w3", "waits"];
  test.each<[string, number, string | undefined, Events]>([
    ["too early", 4_000, undefined, [waiter, [3_500, "w1", "acquires"]]],
    ["a holder that has just begun", 6_000, "w1", [waiter, [5_500, "w1", "acquires"]]],
    ["none that may soon be done", 6_000, undefined, [waiter, [4_900, "w1", "acquires"]]],
    ["none that nobody waits for", 6_000, undefined, [[5_500, "w1", "acquires"]]],
  ])("%s", (_, now, victim, events) => {
    expect(chooseVictim(timelineOf(...events), now)).toBe(victim);
  });
});

describe("the verdict", () => {
  test("is good when the slot was taken over and the limit kept", () => {
    expect(shortcomingsOf(takeover)).toEqual([]);
    expect(summaryOf(takeover)).toEqual([
      "Turns: w1 1 (killed), w2 2, w3 1.",
      "Most slots in use at once: 2 of 2.",
      "The slot of w1 stayed taken for 5.0 s after its kill, then w3 took it over.",
    ]);
  });

  test.each<[string, string[], Events]>([
    [
      "too many held",
      [
        "3 workers held a slot at once, and there are only 2 slots.",
        "No worker was killed while it held a slot.",
      ],
      [
        [1, "w1", "acquires"],
        [1, "w2", "acquires"],
        [2, "w3", "acquires"],
      ],
    ],
    [
      "nobody took over",
      ["Nobody took over the slot of w1."],
      [
        [1, "w1", "acquires"],
        [2, "w1", "is killed"],
        [3, "w2", "acquires"],
      ],
    ],
  ])("is bad when %s", (_, shortcomings, events) => {
    expect(shortcomingsOf(timelineOf(...events))).toEqual(shortcomings);
  });

  test("is bad when a worker failed", () => {
    const failed = advance(takeover, { at: 16_000, worker: "w2", type: "fails", problem: "why" });
    expect(shortcomingsOf(failed)).toEqual(["w2 failed: why"]);
    expect(headlinesOf(failed, 3_000).at(-1)).toEqual({ at: 16_000, text: "w2 failed: why" });
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

describe("the picture", () => {
  const drawn = (now: number, width: number, height = Infinity): string[] =>
    pictureOf(takeover, STORY, now, { width, height }).map((line) => print(line, false).trimEnd());

  test("while the dead worker's slot is still taken", () => {
    const running = { ...takeover, lanes: takeover.lanes.map((lane) => until(lane, 8_000)) };
    const lines = pictureOf(running, STORY, 8_000, { width: 64, height: 5 });
    expect(lines.map((line) => print(line, false).trimEnd())).toEqual([
      "      │0 s      │5 s      │10 s     │15 s       now       turns",
      "w1    ░░▇▇▇▇▇▇▇▇✗▒▒▒▒▒                          dead 3.0 s    1",
      "w2    ░░▇▇▇▇▇▇▇▇▇▇▇▇ ▇                          holds         2",
      "w3        ░░░░░░░░░░░░                          waits         0",
      "slots 0022222222222212                          2 of 2 taken",
    ]);
  });

  test("at the end", () => {
    expect(drawn(20_000, 64)).toEqual([
      "      │0 s      │5 s      │10 s     │15 s       now       turns",
      "w1    ░░▇▇▇▇▇▇▇▇✗▒▒▒▒▒▒▒▒▒····················  dead          1",
      "w2    ░░▇▇▇▇▇▇▇▇▇▇▇▇ ▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇            rests         2",
      "w3        ░░░░░░░░░░░░░░░░»▇▇▇▇▇▇▇▇▇            rests         1",
      "slots 0022222222222212222222222222220000000000  0 of 2 taken",
      "",
      "▇ holds  ░ waits  ✗ killed  ▒ dead, its slot still taken",
      "» takes it over",
      "",
      "  5.0  w1 was killed while holding. Its slot stays taken for a",
      "       while: the dead process's session lives until its TTL",
      "       is over, and Consul ends it 1 to 2 TTLs (3 to 6 s)",
      "       after its last renewal.",
      " 10.0  w3 took over the slot of w1, 5.0 s after the kill.",
    ]);
  });

  test("in a narrow and low terminal leaves out the words and the older headlines", () => {
    expect(drawn(20_000, 30, 12)).toEqual([
      "      │0 s  │5 s  │10 s │15 s",
      "w1    ░▇▇▇▇▇✗▒▒▒▒▒············",
      "w2    ░▇▇▇▇▇▇▇ ▇▇▇▇▇▇▇▇▇",
      "w3      ░░░░░░░░░░»▇▇▇▇▇",
      "slots 022222222222222222000000",
      "",
      "▇ holds  ░ waits  ✗ killed",
      "▒ dead, its slot still taken",
      "» takes it over",
      "",
      "       of w1, 5.0 s after",
      "       the kill.",
    ]);
  });

  test.each([10, 24, 59, 60, 80, 200])("is nowhere wider than %d columns", (width) => {
    for (const line of pictureOf(takeover, STORY, 20_000, { width, height: Infinity })) {
      expect(print(line, false).length).toBeLessThanOrEqual(width);
    }
  });

  test("has colours only if wanted", () => {
    const [, row = []] = pictureOf(takeover, STORY, 20_000, { width: 80, height: Infinity });
    expect(print(row, true)).toContain("\u001b[31m✗\u001b[0m");
    expect(print(row, false)).not.toContain("\u001b");
  });
});

function until(lane: Timeline["lanes"][number], now: number): Timeline["lanes"][number] {
  return { ...lane, events: lane.events.filter(({ at }) => at <= now) };
}
