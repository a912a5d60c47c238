import { inspect } from "node:util";

import { errors, type Dispatcher } from "undici";

import { Deadline } from "../../async/deadline.js";
import { isAborted } from "../../async/is-aborted.js";
import { unlessAborted } from "../../async/unless-aborted.js";
import { resolveConfig, type ConsulClientConfig, type ResolvedConfig } from "../config/config.js";
import {
  GivenConnections,
  OwnConnections,
  type Connections,
  type LaneName,
} from "./connections.js";
import {
  badRequest,
  ConsulError,
  mayPass,
  type ConsulErrorCode,
  type ConsulErrorDetails,
} from "./consul-error.js";
import { AnswerTooLongError, exchange, type RawAnswer } from "./exchange.js";
import { adviceOn, adviceOnStatus, isTlsProblem } from "./failure-advice.js";
import { neededPermission } from "./permission.js";
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
  /** Statuses besides 200 that are an answer, not a failure. */
  readonly alsoAccept?: readonly number[];
  /** Default: `"call"`. */
  readonly lane?: LaneName;
  /** Whether an answer refuses what the token is not allowed to; that of 403 always does. */
  readonly isDenied?: (answer: RawAnswer) => boolean;
}

/** The namespace and the admin partition of a request (Consul Enterprise). */
export type RequestScope = Pick<RequestOptions, "namespace" | "partition">;

/** What came back, unread. */
export interface ConsulAnswer {
  readonly status: number;
  readonly body: string;
  /** The value of a header, by its lower-case name. */
  header(name: string): string | undefined;
  /** A failure to understand this answer, as an error that says what came from where. */
  malformed(
    expected: string,
    details?: Pick<ConsulErrorDetails, "cause" | "retryable">,
  ): ConsulError;
  /** What it says, without our secrets. */
  concealed(text: string): string;
  /** The refusal of something that the token may not do, by what it would need for that. */
  denied(permission: string | undefined, text: string): ConsulError;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/** The codes of Node's errors for an address where nobody listens. */
const NOBODY_THERE: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "ENOENT",
  "ENOTDIR",
]);

/** Hundreds of contenders with values as long as Consul takes them are less. */
const MOST_BYTES = 256 * 2 ** 20;

/** How much of a server's text an error shows. */
const SHOWN_TEXT_LENGTH = 300;

/**
 * Sends requests to one Consul address and turns each failure into a {@link ConsulError}. It knows
 * HTTP, the token and the client's defaults, but no endpoint.
 */
export class Transport {
  readonly #config: ResolvedConfig;
  readonly #connections: Connections;
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;
  /** Whether anybody has answered at the address so far. */
  #answered = false;

  /** @throws ConsulConfigError */
  constructor(config: ConsulClientConfig) {
    this.#config = resolveConfig(config, process.env);
    const { dispatcher, tls } = this.#config;
    this.#connections =
      dispatcher === undefined
        ? new OwnConnections(this.#config)
        : new GivenConnections(dispatcher);
    if (tls?.insecureSkipVerify === true) warnOfInsecureTls(this.#config.displayAddress);
  }

  /** @throws ConsulError, or the reason of the request's signal when that has aborted. */
  async send(consulRequest: ConsulRequest): Promise<ConsulAnswer> {
    const { method, options, lane = "call" } = consulRequest;
    options.signal?.throwIfAborted();
    const path = this.#pathAndQuery(consulRequest);
    const failure = (
      code: ConsulErrorCode,
      problem: string,
      details: Pick<ConsulErrorDetails, "cause" | "retryable"> = {},
    ): ConsulError =>
      new ConsulError(`${method} ${path}: ${problem}`, { code, method, path, ...details });
    if (this.#closing.signal.aborted) throw failure("CONSUL_CLOSED", "the client has been closed");

    const timeout = options.timeout ?? DEFAULT_TIMEOUT_MS;
    if (!(timeout > 0)) {
      throw badRequest(method, path, `invalid timeout ${String(timeout)}, expected milliseconds`);
    }
    const deadline = new Deadline(timeout, options.signal, this.#closing.signal);
    try {
      const raw = await this.#connections.use(lane, deadline.signal, (dispatcher) =>
        this.#exchangeAllowed(consulRequest, path, dispatcher, deadline.signal),
      );
      this.#answered = true;
      const answer = this.#answer(consulRequest, path, raw);
      if (answer.status !== 200 && !consulRequest.alsoAccept?.includes(answer.status)) {
        throw this.#unexpectedStatus(method, path, answer);
      }
      return answer;
    } catch (error) {
      if (error instanceof ConsulError) throw error;
      if (isAborted(options.signal)) throw options.signal?.reason;
      if (isAborted(this.#closing.signal)) {
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
          `${error.message}, which no answer of Consul's is (from ${this.#config.displayAddress})`,
        );
      }
      const code = codeOf(error) ?? "";
      throw failure(
        "CONSUL_UNREACHABLE",
        `no answer from Consul at ${this.#config.displayAddress}: ` +
          `${this.#shown(describeCause(error))} (${adviceOn(code)})`,
        {
          cause: this.#withoutSecrets(error),
          // Where Consul has answered before, it is not the configuration that is wrong.
          retryable: this.#answered || !(isTlsProblem(code) || NOBODY_THERE.has(code)),
        },
      );
    } finally {
      deadline.dispose();
    }
  }

  /** Where a request works: as its options say, or else the client's. */
  scope({ namespace, partition }: RequestOptions): RequestScope {
    return {
      namespace: namespace ?? this.#config.namespace,
      partition: partition ?? this.#config.partition,
    };
  }

  /** Ends every request under way and closes the connections, if they are our own. */
  close(): Promise<void> {
    this.#closing.abort();
    this.#closed ??= this.#connections.destroy();
    return this.#closed;
  }

  /** Where the token is refused that a file had, and there is another in it now, tries that one. */
  async #exchangeAllowed(
    request: ConsulRequest,
    path: string,
    dispatcher: Dispatcher,
    signal: AbortSignal,
  ): Promise<RawAnswer> {
    const { credentials } = this.#config;
    const { headers } = credentials;
    const answer = await this.#exchange(request, path, headers, dispatcher, signal);
    const isDenied = answer.status === 403 || request.isDenied?.(answer) === true;
    if (!isDenied || !(await unlessAborted(credentials.renew(headers, signal), signal))) {
      return answer;
    }
    return await this.#exchange(request, path, credentials.headers, dispatcher, signal);
  }

  #exchange(
    { method, body }: ConsulRequest,
    path: string,
    headers: Record<string, string>,
    dispatcher: Dispatcher,
    signal: AbortSignal,
  ): Promise<RawAnswer> {
    const { origin, basePath } = this.#config;
    const options = {
      ...{ origin, path: `${basePath}${path}`, method, body: body ?? null, headers },
      // undici gives up on an idle answer after 300 s by default, sooner than a blocking query may
      // take. The deadline is the one limit.
      headersTimeout: 0,
      bodyTimeout: 0,
    };
    return exchange(dispatcher, options, { signal, mostBytes: MOST_BYTES });
  }

  #pathAndQuery({ method, path, query = {}, options }: ConsulRequest): string {
    const { namespace, partition } = this.scope(options);
    const parameters: Record<string, string | true | undefined> = {
      dc: options.datacenter ?? this.#config.datacenter,
      ns: namespace,
      partition,
      ...query,
    };
    const written = Object.entries(parameters).flatMap(([name, value]) => {
      if (value === undefined) return [];
      if (value === true) return [name];
      if (!value.isWellFormed())
        throw badRequest(method, path, `invalid ${name} ${inspect(value)}`);
      return [`${name}=${encodeURIComponent(value)}`];
    });
    return written.length === 0 ? path : `${path}?${written.join("&")}`;
  }

  #answer(
    { method }: ConsulRequest,
    path: string,
    { status, headers, body }: RawAnswer,
  ): ConsulAnswer {
    const header = (name: string): string | undefined => {
      const value = headers[name];
      return Array.isArray(value) ? value[0] : value;
    };
    return {
      status,
      body,
      header,
      malformed: (expected, details = {}) => {
        const type = header("content-type") ?? "no content type";
        const text = this.#shown(body);
        return new ConsulError(
          `${method} ${path}: expected ${this.#concealed(expected)} from Consul at ` +
            `${this.#config.displayAddress}, got ${status} with ${this.#shown(type)}: ${text}`,
          { code: "CONSUL_BAD_ANSWER", method, path, status, text, ...details },
        );
      },
      concealed: (text) => this.#concealed(text),
      denied: (permission, text) =>
        this.#failedWith(method, path, status, text, this.#whyDenied(permission)),
    };
  }

  #unexpectedStatus(method: string, path: string, { status, body }: ConsulAnswer): ConsulError {
    const why = status === 403 ? this.#whyDenied(neededPermission(method, path)) : "";
    return this.#failedWith(method, path, status, body, why || adviceOnStatus(status, body));
  }

  #failedWith(
    method: string,
    path: string,
    status: number,
    body: string,
    advice: string,
  ): ConsulError {
    const text = this.#shown(body);
    return new ConsulError(
      `Unexpected response code: ${status} (${text}) ` +
        `for ${method} ${path} from ${this.#config.displayAddress}${advice && `: ${advice}`}`,
      // Not by what is shown of it: that may be cut, or have something hidden.
      { code: "CONSUL_STATUS", method, path, status, text, retryable: mayPass(status, body) },
    );
  }

  #whyDenied(permission: string | undefined): string {
    const needed = permission ?? "the permission for it";
    return this.#config.credentials.hasToken
      ? `if Consul knows the token, it lacks ${needed}`
      : `without a token (option token, or CONSUL_HTTP_TOKEN) there is no ${needed}`;
  }

  /** An error of undici's or Node's. A parser's has what it could not read: a part of an echo, maybe. */
  #withoutSecrets(error: unknown): unknown {
    const isHarmless =
      !(error instanceof errors.HTTPParserError) && !this.#config.credentials.secrets.areIn(error);
    if (isHarmless) return error;
    return Object.assign(new Error(this.#shown(describeCause(error))), { code: codeOf(error) });
  }

  #concealed(text: string): string {
    return this.#config.credentials.secrets.hide(text);
  }

  /** A server's text for an error: one short line, without our secrets, which a proxy may echo. */
  #shown(text: string): string {
    return shorten(this.#concealed(text));
  }
}

function warnOfInsecureTls(address: string): void {
  process.emitWarning(
    `Whoever answers at ${address} is taken for Consul, and is told the token: ` +
      `tls.insecureSkipVerify is set, or CONSUL_HTTP_SSL_VERIFY is false`,
    { type: "SecurityWarning", code: "CONSUL_TLS_INSECURE" },
  );
}

function shorten(text: string): string {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length <= SHOWN_TEXT_LENGTH ? line : `${line.slice(0, SHOWN_TEXT_LENGTH)}…`;
}

function describeCause(error: unknown): string {
  // Where a name has several addresses, Node fails with one error for each and no text of its own.
  if (error instanceof AggregateError) return error.errors.map(describeCause).join(", ");
  return error instanceof Error ? error.message : String(error);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
