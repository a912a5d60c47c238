import { z } from "zod";

/**
 * When it was asked for, when it began and when it was over, in milliseconds since the start; and
 * its fencing token, where there is one.
 */
const turnSchema = z.tuple([z.number(), z.number(), z.number(), z.number().nullable()]);

/** What a process says of itself in the end, as a line of JSON. */
export const loadReportSchema = z.object({
  turns: z.array(turnSchema),
  /** The CPU time it took within the measured time. */
  cpuMs: z.number(),
  peakRssBytes: z.number(),
});

export type LoadReport = z.infer<typeof loadReportSchema>;
export type Turn = z.infer<typeof turnSchema>;
