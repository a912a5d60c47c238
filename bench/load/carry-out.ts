import { setTimeout as pause } from "node:timers/promises";

import type { Load } from "./load.js";
import type { LoadReport, Turn } from "./load-report.js";
import { orderToStart } from "./order-to-start.js";
import { peakRssBytes } from "./peak-rss.js";
import { wallClock } from "./wall-clock.js";

/** Who takes turns: gets in, stays for a while, leaves. */
export interface Contender {
  /** Resolves to the fencing token, where there is one. */
  enter(): Promise<number | null>;
  leave(): Promise<void>;
}

/**
 * Says "ready", reads when to start (milliseconds since 1970), lets the contenders take turns until
 * the measured time is over, and prints the report. The turns that are under way then are finished,
 * as a wait that was cut short would say nothing.
 */
export async function carryOut(
  load: Load,
  newContender: () => Contender,
  close: () => Promise<void>,
): Promise<void> {
  const startAt = await orderToStart();
  const now = (): number => wallClock() - startAt;
  await pause(-now());
  const end = load.warmUpMs + load.measureMs;
  const cpuMs = measureCpu(load, now);
  const turns: Turn[] = [];
  const contend = async (): Promise<void> => {
    const contender = newContender();
    while (now() < end) {
      const asked = now();
      const token = await contender.enter();
      const began = now();
      if (load.holdMs > 0) await pause(load.holdMs);
      await contender.leave();
      turns.push([asked, began, now(), token]);
    }
  };
  await Promise.all(Array.from({ length: load.contenders }, contend));
  await close();
  const report: LoadReport = {
    turns,
    cpuMs: await cpuMs,
    peakRssBytes: await peakRssBytes(),
  };
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());
}

async function measureCpu({ warmUpMs, measureMs }: Load, now: () => number): Promise<number> {
  await pause(warmUpMs - now());
  const before = process.cpuUsage();
  await pause(warmUpMs + measureMs - now());
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}
