import type { RawAnswer } from "./exchange.js";

/** What a connection fails with that the other side has closed. */
const CLOSED: ReadonlySet<unknown> = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]);

export function isClosed(error: unknown): error is Error {
  return error instanceof Error && "code" in error && CLOSED.has(error.code);
}

/**
 * Whether an agent closes the connection since there are too many from this address. Up to 1.8 it
 * does so without a word.
 */
export function isOverLimit({ status, body }: RawAnswer): boolean {
  return status === 429 && /too many concurrent connections/i.test(body);
}

/** How soon after the request a connection is closed that is not let in, in milliseconds. */
const AT_ONCE_MS = 1_000;

/** Whether it is so soon after the request that the connection was not let in, rather than cut later. */
export function isAtOnce(sentAt: number): boolean {
  return performance.now() < sentAt + AT_ONCE_MS;
}

/** Whether the other side had answered anything over a connection, by the error that it ended with. */
export function wasAnswered(error: unknown): boolean | undefined {
  if (!(error instanceof Error) || !("socket" in error)) return undefined;
  const { socket } = error;
  if (typeof socket !== "object" || socket === null || !("bytesRead" in socket)) return undefined;
  return socket.bytesRead !== 0;
}
