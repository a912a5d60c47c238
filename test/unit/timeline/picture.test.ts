import { describe, expect, test } from "vitest";

import { headlinesOf } from "../../../examples/timeline/headlines.js";
import { pictureOf } from "../../../examples/timeline/view/picture.js";
import { print } from "../../../src/cli/screen/styled-line.js";
import { ASCII, symbolsFor, UNICODE } from "../../../src/cli/screen/symbols.js";
import type { Timeline } from "../../../examples/timeline/view/timeline.js";
import type { Story } from "../../../examples/timeline/view/view.js";
import { mishaps, takeover } from "./runs.js";

const STORY: Story = {
  spanMs: 20_000,
  headlinesOf: (timeline) => headlinesOf(timeline, 3_000),
};

describe("the picture", () => {
  const drawn = (now: number, width: number, height = Infinity, symbols = UNICODE): string[] =>
    pictureOf(mishaps, STORY, now, { width, height }, symbols).map((line) =>
      print(line, false).trimEnd(),
    );

  test("while the dead worker's slot is still taken", () => {
    const running = { ...takeover, lanes: takeover.lanes.map((lane) => until(lane, 8_000)) };
    const lines = pictureOf(running, STORY, 8_000, { width: 64, height: 5 }, UNICODE);
    expect(lines.map((line) => print(line, false).trimEnd())).toEqual([
      "      │0 s      │5 s      │10 s     │15 s       now       turns",
      "w1    ░░▇▇▇▇▇▇▇▇✗▒▒▒▒▒                          dead 3.0 s    1",
      "w2    ░░▇▇▇▇▇▇▇▇▇▇▇▇ ▇                          holds         2",
      "w3        ░░░░░░░░░░░░                          waits         0",
      "slots 0022222222222212                          2 of 2 taken",
    ]);
  });

  test("while the network of a worker is silent, which has been told", () => {
    const running = { ...mishaps, lanes: mishaps.lanes.map((lane) => until(lane, 7_000)) };
    const lines = pictureOf(running, STORY, 7_000, { width: 64, height: 5 }, UNICODE);
    expect(lines.map((line) => print(line, false).trimEnd())).toEqual([
      "      │0 s      │5 s      │10 s     │15 s       now       turns",
      "w1    ░░▇▇▇≈≈≈≈≈!▒▒▒                            mute 4.5 s    1",
      "w2    ░░▇▇▇▇▇▇▇▇▇▇▇▇                            holds         1",
      "w3        ░░░░░░░░░░                            waits         0",
      "slots 00222222222222                            2 of 2 taken",
    ]);
  });

  test("at the end, with each symbol explained", () => {
    expect(drawn(20_000, 64)).toEqual([
      "      │0 s      │5 s      │10 s     │15 s       now       turns",
      "w1    ░░▇▇▇≈≈≈≈≈!▒▒▒▒▒░░░░░░▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇  holds         2",
      "w2    ░░▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇✗▒▒▒▒▒▒▒▒▒··········  dead          1",
      "w3        ░░░░░░░░░░░░»▇▇▇▇▇ ░░░░░░░»▇▇▇▇▇▇▇▇▇  holds         2",
      "slots 0022222222222222222222222222222222222222  2 of 2 taken",
      "",
      "▇ holds  ░ waits  ≈ holds, network silent  ! told it is lost",
      "✗ killed  ▒ slot not yet free  » takes it  · gone",
      "0-2 slots taken",
      "",
      "  2.5  The network of w1, which holds, went silent: packets",
      "       are swallowed, and no connection breaks. Nobody but its",
      "       own clock can tell it.",
      "  5.0  w1 was told that its slot is lost, 2.5 s into the",
      "       silence: its signal aborted, one TTL (3 s) after its",
      "       last renewal. It stopped.",
      "  8.0  w3 took over the slot of w1, 3.0 s after w1 had",
      "       stopped.",
      "  8.5  The network of w1 is back.",
      " 10.0  w2 was killed while holding. Its slot stays taken until",
      "       Consul ends the dead process's session, 1 to 2 TTLs (3",
      "       to 6 s) after its last renewal.",
      " 15.0  w3 took over the slot of w2, 5.0 s after the kill.",
    ]);
  });

  test("in ASCII", () => {
    expect(drawn(20_000, 64, 11, ASCII)).toEqual([
      "      |0 s      |5 s      |10 s     |15 s       now       turns",
      "w1    --###~~~~~!=====------##################  holds         2",
      "w2    --##################X=========..........  dead          1",
      "w3        ------------>##### ------->#########  holds         2",
      "slots 0022222222222222222222222222222222222222  2 of 2 taken",
      "",
      "# holds  - waits  ~ holds, network silent  ! told it is lost",
      "X killed  = slot not yet free  > takes it  . gone",
      "0-2 slots taken",
      "",
      " 15.0  w3 took over the slot of w2, 5.0 s after the kill.",
    ]);
    const all = drawn(20_000, 64, Infinity, ASCII).join("");
    expect(all).toMatch(/^[ -~]*$/);
  });

  test("in a narrow and low terminal leaves out the words and the older headlines", () => {
    expect(drawn(20_000, 30, 15)).toEqual([
      "      │0 s  │5 s  │10 s │15 s",
      "w1    ░▇▇≈≈≈!▒▒▒░░░▇▇▇▇▇▇▇▇▇▇▇",
      "w2    ░▇▇▇▇▇▇▇▇▇▇▇✗▒▒▒▒▒······",
      "w3      ░░░░░░░»▇▇▇ ░░░░»▇▇▇▇▇",
      "slots 022222222222222222222222",
      "",
      "▇ holds  ░ waits",
      "≈ holds, network silent",
      "! told it is lost  ✗ killed",
      "▒ slot not yet free",
      "» takes it  · gone",
      "0-2 slots taken",
      "",
      "       of w2, 5.0 s after",
      "       the kill.",
    ]);
  });

  test.each([10, 24, 59, 60, 80, 200])("is nowhere wider than %d columns", (width) => {
    for (const line of pictureOf(takeover, STORY, 20_000, { width, height: Infinity }, UNICODE)) {
      expect(print(line, false).length).toBeLessThanOrEqual(width);
    }
  });

  test("has colours only if wanted", () => {
    const [, row = []] = pictureOf(
      takeover,
      STORY,
      20_000,
      { width: 80, height: Infinity },
      UNICODE,
    );
    expect(print(row, true)).toContain("\u001b[31m✗\u001b[0m");
    expect(print(row, false)).not.toContain("\u001b");
  });
});

function until(lane: Timeline["lanes"][number], now: number): Timeline["lanes"][number] {
  return { ...lane, events: lane.events.filter(({ at }) => at <= now) };
}

test.each([
  [{ LANG: "en_US.UTF-8" }, "linux", UNICODE],
  [{ LANG: "C.utf8", LC_ALL: "" }, "linux", UNICODE],
  [{ LANG: "en_US.UTF-8", LC_ALL: "C" }, "linux", ASCII],
  [{ LANG: "en_US.UTF-8", LC_CTYPE: "de_DE.ISO-8859-1" }, "linux", ASCII],
  [{ LANG: "en_US.UTF-8", TERM: "linux" }, "linux", ASCII],
  [{}, "linux", ASCII],
  [{}, "win32", UNICODE],
] as const)("a terminal with %j on %s", (env, platform, symbols) => {
  expect(symbolsFor(env, platform)).toBe(symbols);
});
