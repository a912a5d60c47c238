import type { Size } from "../../../src/cli/screen/screen.js";
import { chartOf, legendOf } from "./chart.js";
import { cut, styled, wrap, type StyledLine } from "../../../src/cli/screen/styled-line.js";
import type { Symbols } from "../../../src/cli/screen/symbols.js";
import type { Timeline } from "./timeline.js";
import type { Story } from "./view.js";

const TIME_WIDTH = 7;

/**
 * The chart, its legend and the headlines, in lines no longer than the width. Where the height is too
 * low, the older headlines go first.
 */
export function pictureOf(
  timeline: Timeline,
  { spanMs, headlinesOf }: Story,
  now: number,
  { width, height }: Size,
  symbols: Symbols,
): StyledLine[] {
  const chart = [
    ...chartOf(timeline, now, { width, spanMs }, symbols),
    [],
    ...legendOf(timeline.limit, width, symbols),
    [],
  ].slice(0, height);
  const headlines = headlinesOf(timeline).flatMap(({ at, text }) =>
    wrap(text, width - TIME_WIDTH - 2).map((line, index) => {
      const time = index === 0 ? (at / 1_000).toFixed(1) : "";
      return [styled(time.padStart(TIME_WIDTH - 2).padEnd(TIME_WIDTH), "faint"), styled(line)];
    }),
  );
  const surplus = Math.max(0, chart.length + headlines.length - height);
  return [...chart, ...headlines.slice(surplus)].map((line) => cut(line, width));
}
