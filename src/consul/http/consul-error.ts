/**
 * Why a request to Consul failed:
 *
 * - `CONSUL_STATUS`: Consul (or a proxy before it) answered with a status that means failure.
 * - `CONSUL_UNREACHABLE`: nobody answered: refused, reset, unknown host.
 * - `CONSUL_TIMEOUT`: no complete answer came within the request's deadline.
 * - `CONSUL_BAD_ANSWER`: the answer is not what Consul answers: an HTML page, a wrong type.
 * - `CONSUL_BAD_REQUEST`: the request was refused before it was sent: Consul could not serve it.
 * - `CONSUL_CLOSED`: the client has been closed.
 *
 * @example
 * ```ts
 * const gone: readonly ConsulErrorCode[] = ["CONSUL_UNREACHABLE", "CONSUL_TIMEOUT"];
 * ```
 */
export type ConsulErrorCode =
  | "CONSUL_STATUS"
  | "CONSUL_UNREACHABLE"
  | "CONSUL_TIMEOUT"
  | "CONSUL_BAD_ANSWER"
  | "CONSUL_BAD_REQUEST"
  | "CONSUL_CLOSED";

/**
 * What a {@link ConsulError} is made of.
 *
 * @example
 * ```ts
 * const details = { code: "CONSUL_TIMEOUT", method: "GET", path: "/v1/kv/jobs" } as const;
 * const error = new ConsulError("it took too long", details);
 * ```
 */
export interface ConsulErrorDetails {
  /** As {@link ConsulError.code}. */
  readonly code: ConsulErrorCode;
  /** As {@link ConsulError.method}. */
  readonly method: string;
  /** As {@link ConsulError.path}. */
  readonly path: string;
  /** As {@link ConsulError.status}. */
  readonly status?: number | undefined;
  /** As {@link ConsulError.text}. */
  readonly text?: string | undefined;
  /** As {@link ConsulError.retryable}. Default: what the code, the status and the text tell. */
  readonly retryable?: boolean | undefined;
  /** The error behind it. */
  readonly cause?: unknown;
}

/** Consul has one status for what it cannot do and for what it was asked wrongly: 500. */
const ASKED_WRONGLY = /\binvalid\b/i;

/**
 * A request to Consul's HTTP API that failed. No token is ever part of it.
 *
 * @example
 * ```ts
 * try {
 *   await consul.kv.put({ key: "jobs/done", value: "42" });
 * } catch (error) {
 *   if (!(error instanceof ConsulError)) throw error;
 *   console.error(error.inDoubt ? "it may have been written" : "it was not written", error.message);
 * }
 * ```
 */
export class ConsulError extends Error {
  /** The name of the class. */
  override readonly name = "ConsulError";
  /** What kind of failure it was; stable across versions. */
  readonly code: ConsulErrorCode;
  /** The HTTP method of the request. */
  readonly method: string;
  /** The path and query of the request, without the address. */
  readonly path: string;
  /** The HTTP status of the answer, where there was one. */
  readonly status: number | undefined;
  /**
   * What the server said, shortened to 300 characters; for an error of Consul's own this is its
   * explanation.
   */
  readonly text: string | undefined;
  /**
   * Whether the same request may succeed a moment later: nobody answered in time, or the answer was
   * a 5xx (no leader, a proxy's outage) or 429 (Go: `IsRetryableError`). It is not where Consul's
   * words for a 500 are that something is invalid, nor where nobody has ever listened at the
   * address, which is then more likely wrong. Of a write it does not say whether it took place.
   */
  readonly retryable: boolean;

  /** As the client throws it, for tests of your own. */
  constructor(message: string, details: ConsulErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = details.code;
    this.method = details.method;
    this.path = details.path;
    this.status = details.status;
    this.text = details.text;
    this.retryable =
      details.retryable ??
      (details.status === undefined
        ? details.code === "CONSUL_UNREACHABLE" || details.code === "CONSUL_TIMEOUT"
        : mayPass(details.status, details.text ?? ""));
  }

  /**
   * Whether a write may have taken place all the same: it was sent, and no answer came that says
   * no. Of a 5xx too one cannot know: a leader may fall with the write already on its way.
   */
  get inDoubt(): boolean {
    return (this.retryable && this.status !== 429) || this.code === "CONSUL_BAD_ANSWER";
  }
}

/** Whether what an answer says, by its status and its text, may be otherwise a moment later. */
export function mayPass(status: number, text: string): boolean {
  if (status === 500) return !ASKED_WRONGLY.test(text);
  return status === 429 || status > 500;
}

/** A request that is refused before it is sent. */
export function badRequest(method: string, path: string, problem: string): ConsulError {
  return new ConsulError(`${method} ${path}: ${problem}`, {
    code: "CONSUL_BAD_REQUEST",
    method,
    path,
  });
}
