import { z } from "zod";

import { cpuSharesSchema } from "./cpu-shares.js";
import { trafficSchema } from "./traffic.js";

/**
 * When a slot was asked for, when it was held, when its release began and when it was released, in
 * ms since the start; null for what had not happened when the time was over.
 */
const fleetTurnSchema = z.object({
  asked: z.number(),
  held: z.number().nullable(),
  releasing: z.number().nullable(),
  released: z.number().nullable(),
});

/** What a process says of its contenders in the end, as a line of JSON. */
export const fleetReportSchema = z.object({
  /** The turns of each client. */
  clients: z.array(z.array(fleetTurnSchema)),
  /** Of those that count: what was sent and received between these two moments. */
  wire: z.object({ from: z.number(), to: z.number(), traffic: trafficSchema }).optional(),
  /** Of those that take a profile: what the measured time was spent on. */
  cpu: cpuSharesSchema.optional(),
});

export type FleetTurn = z.infer<typeof fleetTurnSchema>;
export type FleetReport = z.infer<typeof fleetReportSchema>;
