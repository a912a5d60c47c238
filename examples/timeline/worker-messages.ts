import { z } from "zod";

/** From the demo to a worker. */
export const orderSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("start"), worker: z.string(), address: z.string() }),
  z.object({ type: z.enum(["linger", "stop"]) }),
]);

export type Order = z.output<typeof orderSchema>;

/** From a worker to the demo; `at` is on the clock of `machineNow`. */
export const reportSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("is ready") }),
  z.object({ type: z.enum(["waits", "acquires", "releases"]), at: z.number() }),
  z.object({ type: z.enum(["loses its slot", "fails"]), at: z.number(), problem: z.string() }),
]);

export type Report = z.output<typeof reportSchema>;
