/**
 * Why a request to Consul failed:
 *
 * - `CONSUL_STATUS`: Consul (or a proxy before it) answered with a status that means failure.
 * - `CONSUL_UNREACHABLE`: nobody answered: refused, reset, unknown host.
 * - `CONSUL_TIMEOUT`: no complete answer came within the request's deadline.
 * - `CONSUL_BAD_ANSWER`: the answer is not what Consul answers: an HTML page, a wrong type.
 * - `CONSUL_BAD_REQUEST`: the request was refused before it was sent: Consul could not serve it.
 * - `CONSUL_CLOSED`: the client has been closed.
 */
export type ConsulErrorCode =
  | "CONSUL_STATUS"
  | "CONSUL_UNREACHABLE"
  | "CONSUL_TIMEOUT"
  | "CONSUL_BAD_ANSWER"
  | "CONSUL_BAD_REQUEST"
  | "CONSUL_CLOSED";

export interface ConsulErrorDetails {
  readonly code: ConsulErrorCode;
  readonly method: string;
  readonly path: string;
  readonly status?: number | undefined;
  readonly text?: string | undefined;
  readonly cause?: unknown;
}

/** A request to Consul's HTTP API that failed. No token is ever part of it. */
export class ConsulError extends Error {
  override readonly name = "ConsulError";
  /** What kind of failure it was; stable across versions. */
  readonly code: ConsulErrorCode;
  /** The HTTP method of the request. */
  readonly method: string;
  /** The path and query of the request, without the address. */
  readonly path: string;
  /** The HTTP status of the answer, where there was one. */
  readonly status: number | undefined;
  /** What the server said, shortened; for an error of Consul's own this is its explanation. */
  readonly text: string | undefined;

  constructor(message: string, details: ConsulErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = details.code;
    this.method = details.method;
    this.path = details.path;
    this.status = details.status;
    this.text = details.text;
  }

  /**
   * Whether the same read may succeed a moment later: nobody answered in time, or the answer was a
   * 5xx (no leader, a proxy's outage) or 429 (Go: `IsRetryableError`). For a write it says nothing
   * about whether the write took place.
   */
  get retryable(): boolean {
    return (
      this.code === "CONSUL_UNREACHABLE" ||
      this.code === "CONSUL_TIMEOUT" ||
      (this.status !== undefined && (this.status >= 500 || this.status === 429))
    );
  }
}

/** A request that is refused before it is sent. */
export function badRequest(method: string, path: string, problem: string): ConsulError {
  return new ConsulError(`${method} ${path}: ${problem}`, {
    code: "CONSUL_BAD_REQUEST",
    method,
    path,
  });
}
