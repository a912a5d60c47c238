import { z } from "zod";

/** What has passed so far. */
export const wireTotalSchema = z.object({
  /** When it was that, in ms since 1970. */
  at: z.number(),
  requests: z.record(z.string(), z.number()),
  /** From Consul to its clients. */
  bytesRead: z.number(),
  bytesWritten: z.number(),
  mostConnections: z.number(),
});

export type WireTotal = z.infer<typeof wireTotalSchema>;

/** What the proxy says: where it listens, or the total that it was asked for. */
export const proxyMessageSchema = z.union([
  z.object({ port: z.number() }),
  z.object({ total: wireTotalSchema }),
]);

export type ProxyMessage = z.infer<typeof proxyMessageSchema>;
