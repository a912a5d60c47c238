import type { ResolvedConfig } from "../config/config.js";
import { ConsulError, isTransientStatus, type ConsulErrorDetails } from "./consul-error.js";
import type { RawAnswer } from "./exchange.js";
import {
  adviceOn,
  adviceOnStatus,
  isCertificateProblem,
  isDispatchersRefusal,
  isTlsProblem,
} from "./failure-advice.js";
import { neededPermission } from "./permission.js";
import { errors } from "./undici.js";

/** Node's error codes for an address without a listener. */
const NO_LISTENER: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "ENOENT",
  "ENOTDIR",
]);

/** How many characters of an answer an error shows. */
const SHOWN_TEXT_LENGTH = 300;

/** What was asked for, as errors name it. */
export interface FailedRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
}

/** What tells whether a request without an answer may have been carried out. */
interface Circumstances {
  /** Whether the address has answered before. */
  readonly hasAnswered: boolean;
  /** Whether the request may have been sent before its last attempt. */
  readonly isRepeatable: boolean;
}

type Settings = Pick<ResolvedConfig, "credentials" | "displayAddress" | "tls" | "dispatcher">;

/** Makes the errors of requests to one address: what they say and advise, without secrets. */
export class RequestFailures {
  readonly #config: Settings;

  constructor(config: Settings) {
    this.#config = config;
  }

  /** For a status that was not expected. */
  status(request: FailedRequest, answer: Pick<RawAnswer, "status" | "body">): ConsulError {
    const { status, body } = answer;
    const permission = neededPermission(request.method, request.path);
    const why = status === 403 ? this.#whyDenied(body, permission) : "";
    return this.#unexpected(request, answer, why || adviceOnStatus(status, body));
  }

  /** For a permission that is missing. */
  denied(
    request: FailedRequest,
    answer: Pick<RawAnswer, "status" | "body">,
    permission: string | undefined,
  ): ConsulError {
    return this.#unexpected(request, answer, this.#whyDenied(answer.body, permission));
  }

  /** For an answer that is not the expected one. */
  malformed(
    { method, path }: FailedRequest,
    {
      status,
      body,
      type,
    }: Pick<RawAnswer, "status" | "body"> & { readonly type?: string | undefined },
    expected: string,
    details: Pick<ConsulErrorDetails, "cause" | "retryable"> = {},
  ): ConsulError {
    const text = this.#shown(body);
    return new ConsulError(
      `${method} ${path}: expected ${this.concealed(expected)} from Consul at ` +
        `${this.#config.displayAddress}, got ${status} with ` +
        `${this.#shown(type ?? "no content type")}: ${text}`,
      { code: "CONSUL_BAD_ANSWER", method, path, status, text, ...details },
    );
  }

  /** For a request without an answer. */
  unreachable(
    { method, path }: FailedRequest,
    error: unknown,
    { hasAnswered, isRepeatable }: Circumstances,
  ): ConsulError {
    const code = codeOf(error) ?? "";
    const lacksListener = NO_LISTENER.has(code);
    return new ConsulError(
      `${method} ${path}: no answer from Consul at ${this.#config.displayAddress}: ` +
        `${this.#shown(describeCause(error))} (${this.#adviceOn(code)})`,
      {
        code: "CONSUL_UNREACHABLE",
        method,
        path,
        cause: this.#withoutSecrets(error),
        // An address that has answered before is not misconfigured.
        retryable: !isDispatchersRefusal(code) && (hasAnswered || !isTlsProblem(code)),
        neverAnswered: !hasAnswered && lacksListener,
        // A dispatcher that was given may repeat requests too.
        unsent: lacksListener && !isRepeatable && this.#config.dispatcher === undefined,
      },
    );
  }

  /** A text without the client's secrets. */
  concealed(text: string): string {
    return this.#config.credentials.secrets.hide(text);
  }

  #unexpected(
    { method, path }: FailedRequest,
    { status, body }: Pick<RawAnswer, "status" | "body">,
    advice: string,
  ): ConsulError {
    const text = this.#shown(body);
    return new ConsulError(
      `Unexpected response code: ${status} (${text}) ` +
        `for ${method} ${path} from ${this.#config.displayAddress}${advice && `: ${advice}`}`,
      // By the whole body: the shown text may be cut, or have secrets removed.
      {
        code: "CONSUL_STATUS",
        method,
        path,
        status,
        text,
        retryable: isTransientStatus(status, body),
      },
    );
  }

  #adviceOn(code: string): string {
    const files = isCertificateProblem(code) ? this.#config.tls?.description : undefined;
    return files ? `${adviceOn(code)}; ${files}` : adviceOn(code);
  }

  #whyDenied(text: string, permission: string | undefined): string {
    const { hasToken } = this.#config.credentials;
    if (hasToken && text.includes("ACL not found")) {
      return "Consul does not know the token (option token or tokenFile, or their variables)";
    }
    // Agents since 1.12 name it themselves.
    const isNamed = text.includes("lacks permission '");
    if (isNamed && hasToken) return "";
    const needed = isNamed ? "it" : (permission ?? "a permission");
    return hasToken
      ? `if Consul knows the token, it lacks ${needed}`
      : `without a token (option token, or CONSUL_HTTP_TOKEN), the request lacks ${needed}`;
  }

  /**
   * Replaces an error that has a secret. A parser's may have a part of one, in what it could not
   * parse.
   */
  #withoutSecrets(error: unknown): unknown {
    const isHarmless =
      !(error instanceof errors.HTTPParserError) && !this.#config.credentials.secrets.areIn(error);
    if (isHarmless) return error;
    return Object.assign(new Error(this.#shown(describeCause(error))), { code: codeOf(error) });
  }

  /** A server's text as errors show it: one short line without secrets, which a proxy may echo. */
  #shown(text: string): string {
    return shorten(this.concealed(text));
  }
}

function shorten(text: string): string {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length <= SHOWN_TEXT_LENGTH ? line : `${line.slice(0, SHOWN_TEXT_LENGTH)}…`;
}

function describeCause(error: unknown): string {
  // For a host with several addresses, Node throws an AggregateError without a message.
  if (error instanceof AggregateError) return error.errors.map(describeCause).join(", ");
  return error instanceof Error ? error.message : String(error);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
