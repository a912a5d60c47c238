import { z } from "zod";

import type { Interval } from "../integration/intervals.js";

const bigintText = z.string().regex(/^\d+$/).transform(BigInt);

const noticeSchema = z.discriminatedUnion("event", [
  /** Somebody is inside, and says so at once. */
  z.object({ event: z.literal("entered") }),
  /** Somebody was inside. */
  z.object({
    event: z.literal("turn"),
    /** Nanoseconds on the clock that all processes share. */
    entered: bigintText,
    left: bigintText,
    token: bigintText,
    /** How the slot was lost, where it was. */
    lost: z.string().nullable(),
  }),
  /** A call that rejected, other than by a loss; it is made again. */
  z.object({ event: z.literal("refused"), call: z.string(), message: z.string() }),
]);

/** What a process that takes turns tells, as a line of its output. */
export type Notice = z.output<typeof noticeSchema>;

/** One turn of a process of ours. */
export interface Turn extends Interval {
  readonly token: bigint;
  readonly lost: string | null;
}

export function formatNotice(notice: Notice): string {
  return JSON.stringify(notice, (_, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
}

export function parseNotice(line: string): Notice {
  return noticeSchema.parse(JSON.parse(line));
}
