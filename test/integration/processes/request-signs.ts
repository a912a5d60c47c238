/** What undici tells of the requests of this process, whoever's they are. */
import { subscribe } from "node:diagnostics_channel";

import { z } from "zod";

const noticeSchema = z.object({ request: z.object({ method: z.string(), path: z.string() }) });

export interface RequestSign {
  readonly method: string;
  readonly path: string;
}

/** Calls `seen` at the moment when a request is written to its socket. */
export function onSent(seen: (request: RequestSign) => void): void {
  subscribe("undici:client:sendHeaders", (notice) => {
    seen(noticeSchema.parse(notice).request);
  });
}

/** Calls `seen` at the moment when the head of an answer is read from its socket. */
export function onAnswered(seen: (request: RequestSign) => void): void {
  subscribe("undici:request:headers", (notice) => {
    seen(noticeSchema.parse(notice).request);
  });
}
