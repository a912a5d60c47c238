import { cloneable } from "../../cloneable-error.js";
import { isMissingNode, isRateLimit, isRefusal } from "./refusal.js";

/**
 * Why a request to Consul failed:
 *
 * - `CONSUL_STATUS`: Consul, or a proxy in front of it, answered with a status that means failure.
 * - `CONSUL_UNREACHABLE`: the connection failed: refused, reset, unknown host.
 * - `CONSUL_TIMEOUT`: no complete answer was received within the request's timeout.
 * - `CONSUL_BAD_ANSWER`: the answer is not one of Consul's: an HTML page, a wrong type.
 * - `CONSUL_BAD_REQUEST`: an argument is invalid, and nothing was sent.
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
 * The details of a {@link ConsulError}.
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
  /** As {@link ConsulError.retryable}. Default: by the code, the status and the text. */
  readonly retryable?: boolean | undefined;
  /** As {@link ConsulError.neverAnswered}. Default: `false`. */
  readonly neverAnswered?: boolean | undefined;
  /** Whether no connection was made, so that nothing was sent. Default: `false`. */
  readonly unsent?: boolean | undefined;
  /** The error behind it. */
  readonly cause?: unknown;
}

/**
 * A failed request to Consul's HTTP API. It never contains a token.
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
export class ConsulError extends cloneable(Error) {
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
   * The body of the answer, shortened to 300 characters. For an error of Consul's own, this is its
   * explanation.
   */
  readonly text: string | undefined;
  /**
   * Whether the failure is transient, so that the same request may succeed later (Go:
   * `IsRetryableError`): a timeout, a failed connection, a 5xx (no leader, a proxy's outage) or a
   * 429. Not so a 500 with which Consul refuses a request, and a failure of TLS. {@link inDoubt} says
   * whether a write may have been carried out.
   */
  readonly retryable: boolean;
  /**
   * Whether there was no server at the address, and never has been since the client was made: either
   * it is not up yet, or the address is wrong. A semaphore rejects at once.
   */
  readonly neverAnswered: boolean;
  readonly #isUnsent: boolean;

  /** Makes an error as the client throws it, for your own tests. */
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
        : isTransientStatus(details.status, details.text ?? ""));
    this.neverAnswered = details.neverAnswered ?? false;
    this.#isUnsent = details.unsent ?? false;
  }

  /**
   * Whether the outcome of a write is unknown: it was sent, and no answer says that it was not
   * carried out. A 5xx does not say so either, since a leader may fail after it has accepted the
   * write; but nothing was where a rate limit is exceeded, or a session's node is not registered.
   */
  get inDoubt(): boolean {
    const { status, text = "" } = this;
    const isUnsent = this.#isUnsent || this.neverAnswered;
    const isPutOff = status === 429 || isRateLimit(text) || isMissingNode(text);
    const mayBeDone = !isUnsent && !isPutOff;
    return (this.retryable && mayBeDone) || this.code === "CONSUL_BAD_ANSWER";
  }
}

/** Whether an answer with this status and text means a transient failure. */
export function isTransientStatus(status: number, text: string): boolean {
  return status === 429 || (status >= 500 && !isRefusal(status, text));
}

/**
 * Whether an answer may be that of somebody in Consul's place, who will be gone: of a load balancer,
 * say. One that wants other credentials is there to stay.
 */
export function mayBeOfAnother({ code, status, text }: ConsulError): boolean {
  if (status === undefined || status === 401 || status === 407) return false;
  if (code === "CONSUL_BAD_ANSWER") return true;
  return code === "CONSUL_STATUS" && text !== undefined && !isRefusal(status, text);
}

/** The error for an invalid argument of a request, which is not sent. */
export function badRequest(method: string, path: string, problem: string): ConsulError {
  return new ConsulError(`${method} ${path}: ${problem}`, {
    code: "CONSUL_BAD_REQUEST",
    method,
    path,
  });
}
