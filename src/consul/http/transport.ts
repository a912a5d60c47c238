import { inspect } from "node:util";

import type { Dispatcher } from "undici";

import { LONGEST_ATTEMPT_MS } from "../../async/attempt-timeout.js";
import { Cancellation, type Ending } from "../../async/cancellation.js";
import { Deadline } from "../../async/deadline.js";
import { isAborted } from "../../async/is-aborted.js";
import { unlessAborted } from "../../async/unless-aborted.js";
import { resolveConfig, type ConsulClientConfig, type ResolvedConfig } from "../config/config.js";
import { GivenConnection, OwnConnection } from "./connection.js";
import { Connections, type LaneName } from "./connections.js";
import { connector } from "./connector.js";
import {
  badRequest,
  ConsulError,
  type ConsulErrorCode,
  type ConsulErrorDetails,
} from "./consul-error.js";
import { AnswerTooLongError, exchange, type RawAnswer } from "./exchange.js";
import { RequestFailures, type FailedRequest } from "./request-failures.js";
import type { RequestOptions } from "./request-options.js";

/** One request to Consul's HTTP API. */
export interface ConsulRequest {
  readonly method: "GET" | "PUT" | "DELETE";
  /** The path below the address, encoded, beginning with `/v1/`. */
  readonly path: string;
  /** Query parameters; `true` is one without a value, `undefined` one that is left out. */
  readonly query?: Readonly<Record<string, string | true | undefined>>;
  readonly body?: Uint8Array | string;
  readonly options: RequestOptions;
  /** Statuses besides 200 that do not mean failure. */
  readonly alsoAccept?: readonly number[] | undefined;
  /** Default: `"call"`. */
  readonly lane?: LaneName;
  /** Whether an answer denies permission; one with 403 always does. */
  readonly isDenied?: (answer: RawAnswer) => boolean;
}

/** The namespace and the admin partition of a request (Consul Enterprise). */
export type RequestScope = Pick<RequestOptions, "namespace" | "partition">;

/** An answer whose body is not parsed yet. */
export interface ConsulAnswer {
  readonly status: number;
  readonly body: string;
  /** The value of a header, by its lower-case name. */
  header(name: string): string | undefined;
  /** The error for an answer other than the expected one. It shows what came, and from where. */
  malformed(
    expected: string,
    details?: Pick<ConsulErrorDetails, "cause" | "retryable">,
  ): ConsulError;
  /** A text without the client's secrets. */
  concealed(text: string): string;
  /** The error for a denied permission. */
  denied(permission: string | undefined, text: string): ConsulError;
}

/** How a request is sent. */
interface ExchangeWay {
  readonly dispatcher: Dispatcher;
  /** Whether its connection is closed after the answer. */
  readonly closes: boolean;
  readonly signal: Ending;
}

/** Enough for hundreds of contenders with the longest values that Consul stores. */
const MAX_RESPONSE_BYTES = 256 * 2 ** 20;

/**
 * Sends requests to one Consul address and turns each failure into a {@link ConsulError}. It knows
 * HTTP, the token and the client's defaults, but no endpoint.
 */
export class Transport {
  readonly #config: ResolvedConfig;
  readonly #failures: RequestFailures;
  readonly #connections: Connections;
  readonly #closing = new Cancellation();
  /** Whether the address has answered before. */
  #answered = false;

  /**
   * @param refused called when the agent takes no more connections
   * @throws ConsulConfigError
   */
  constructor(config: ConsulClientConfig, refused: () => void = () => undefined) {
    this.#config = resolveConfig(config, process.env);
    this.#failures = new RequestFailures(this.#config);
    const { dispatcher, tls } = this.#config;
    const open =
      dispatcher === undefined
        ? openerOf(this.#config)
        : (): GivenConnection => new GivenConnection(dispatcher);
    this.#connections = new Connections(open, refused);
    if (tls?.insecureSkipVerify === true) warnOfInsecureTls(this.#config.displayAddress);
  }

  /** @throws ConsulError, or the reason of the request's signal if that has aborted */
  async send(consulRequest: ConsulRequest): Promise<ConsulAnswer> {
    const { method, options, lane = "call" } = consulRequest;
    options.signal?.throwIfAborted();
    const path = this.#pathAndQuery(consulRequest);
    const failure = (code: ConsulErrorCode, problem: string): ConsulError =>
      new ConsulError(`${method} ${path}: ${problem}`, { code, method, path });
    if (this.#closing.aborted) throw failure("CONSUL_CLOSED", "the client has been closed");

    const timeout = options.timeout ?? LONGEST_ATTEMPT_MS;
    if (!(timeout > 0)) {
      throw badRequest(method, path, `invalid timeout ${String(timeout)}, expected milliseconds`);
    }
    const isRepeatable = method === "GET" || lane === "renewal";
    const deadline = new Deadline(timeout, options.signal, this.#closing);
    try {
      const raw = await this.#connections.use(
        { lane, deadline, isRepeatable },
        (dispatcher, closes) =>
          this.#exchangeWithToken(consulRequest, path, { dispatcher, closes, signal: deadline }),
      );
      this.#answered = true;
      const answer = this.#answer({ method, path }, raw);
      if (answer.status !== 200 && !consulRequest.alsoAccept?.includes(answer.status)) {
        throw this.#failures.status({ method, path }, answer);
      }
      return answer;
    } catch (error) {
      if (error instanceof ConsulError) throw error;
      if (isAborted(options.signal)) throw options.signal?.reason;
      if (isAborted(this.#closing)) {
        throw failure("CONSUL_CLOSED", "the client was closed before Consul answered");
      }
      if (deadline.expired) {
        throw failure(
          "CONSUL_TIMEOUT",
          `no complete answer from ${this.#config.displayAddress} within ${timeout} ms`,
        );
      }
      if (error instanceof AnswerTooLongError) {
        throw failure(
          "CONSUL_BAD_ANSWER",
          `${error.message} (from ${this.#config.displayAddress})`,
        );
      }
      throw this.#failures.unreachable({ method, path }, error, {
        hasAnswered: this.#answered,
        isRepeatable,
      });
    } finally {
      deadline.dispose();
    }
  }

  /** The namespace and the partition of a request: those of its options, or else the client's. */
  scope({ namespace, partition }: RequestScope): RequestScope {
    return {
      namespace: namespace ?? this.#config.namespace,
      partition: partition ?? this.#config.partition,
    };
  }

  /** Rejects all pending requests and closes the client's own connections. */
  async close(): Promise<void> {
    this.#closing.abort("closed");
    await this.#connections.destroy();
  }

  /** Sends the request again if its token is refused and the token file now contains another. */
  async #exchangeWithToken(
    request: ConsulRequest,
    path: string,
    way: ExchangeWay,
  ): Promise<RawAnswer> {
    const { credentials } = this.#config;
    const { headers } = credentials;
    const answer = await this.#exchange(request, path, headers, way);
    const isDenied = answer.status === 403 || request.isDenied?.(answer) === true;
    if (!isDenied || !(await unlessAborted(credentials.renew(headers), way.signal))) {
      return answer;
    }
    return await this.#exchange(request, path, credentials.headers, way);
  }

  #exchange(
    { method, body }: ConsulRequest,
    path: string,
    headers: Record<string, string>,
    { dispatcher, closes, signal }: ExchangeWay,
  ): Promise<RawAnswer> {
    const { origin, basePath } = this.#config;
    const options = {
      origin,
      path: `${basePath}${path}`,
      method,
      body: body ?? null,
      headers,
      // undici's default timeouts of 300 s are shorter than a blocking query. The deadline is the
      // only limit.
      headersTimeout: 0,
      bodyTimeout: 0,
      reset: closes,
    };
    return exchange(dispatcher, options, { signal, maxBytes: MAX_RESPONSE_BYTES });
  }

  #pathAndQuery({ method, path, query = {}, options }: ConsulRequest): string {
    const { namespace, partition } = this.scope(options);
    const parameters: Record<string, string | true | undefined> = {
      dc: options.datacenter ?? this.#config.datacenter,
      ns: namespace,
      partition,
      ...query,
    };
    let written = path;
    for (const [name, value] of Object.entries(parameters)) {
      if (value === undefined) continue;
      written += `${written === path ? "?" : "&"}${name}`;
      if (value === true) continue;
      if (!value.isWellFormed())
        throw badRequest(method, path, `invalid ${name} ${inspect(value)}`);
      written += `=${encodeURIComponent(value)}`;
    }
    return written;
  }

  #answer(request: FailedRequest, { status, headers, body }: RawAnswer): ConsulAnswer {
    const header = (name: string): string | undefined => {
      const value = headers[name];
      return Array.isArray(value) ? value[0] : value;
    };
    return {
      status,
      body,
      header,
      malformed: (expected, details) =>
        this.#failures.malformed(
          request,
          { status, body, type: header("content-type") },
          expected,
          details,
        ),
      concealed: (text) => this.#failures.concealed(text),
      denied: (permission, text) =>
        this.#failures.denied(request, { status, body: text }, permission),
    };
  }
}

/** Opens connections of the client's own. */
function openerOf(config: ResolvedConfig): (keepAliveTimeout: number) => OwnConnection {
  const { origin } = config;
  const connect = connector(config);
  return (keepAliveTimeout) => new OwnConnection({ origin, connect, keepAliveTimeout });
}

function warnOfInsecureTls(address: string): void {
  process.emitWarning(
    `TLS verification is off: whatever answers at ${address} is trusted with the token ` +
      `(tls.insecureSkipVerify is set, or CONSUL_HTTP_SSL_VERIFY is false)`,
    { type: "SecurityWarning", code: "CONSUL_TLS_INSECURE" },
  );
}
