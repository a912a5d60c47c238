import type { Dispatcher } from "undici";
import { z } from "zod";

import { ConsulConfigError } from "./config-error.js";
import { Credentials, type HttpBasicAuth } from "./credentials.js";
import { locate, type Location } from "./location.js";
import { variableOf, type Environment } from "./setting.js";
import { TlsFiles } from "./tls-files.js";
import type { ConsulTlsConfig } from "./tls-settings.js";

/**
 * The configuration of a {@link ConsulClient} (Go: `Config`). Every option is optional; the
 * defaults come from the environment variables that Consul's Go client and its CLI read. An unknown
 * option is an error.
 *
 * @example
 * ```ts
 * const config: ConsulClientConfig = {
 *   address: "https://consul.internal:8501",
 *   tokenFile: "/run/secrets/consul-token",
 *   tls: { caFile: "/etc/consul/ca.pem" },
 * };
 * const consul = new ConsulClient(config);
 * ```
 */
export interface ConsulClientConfig {
  /**
   * The agent's HTTP address: `host:port`, `http://host:port`, `https://host:port` or
   * `unix:///path/to/socket` (Go: `Address`). Default: `CONSUL_HTTP_ADDR`, or else
   * `127.0.0.1:8500`.
   */
  readonly address?: string | undefined;
  /**
   * The scheme of an address without one (Go: `Scheme`). Default: `"https"` where `CONSUL_HTTP_SSL`
   * is true, or else `"http"`.
   */
  readonly scheme?: "http" | "https" | undefined;
  /** The datacenter of all requests (Go: `Datacenter`). Default: the agent's. */
  readonly datacenter?: string | undefined;
  /**
   * The ACL token to send (Go: `Token`). No error and no event contains it. Default:
   * `CONSUL_HTTP_TOKEN`, or else none.
   */
  readonly token?: string | undefined;
  /**
   * A file with the ACL token, which takes precedence over `token` (Go: `TokenFile`). It is read
   * again when Consul denies permission, to pick up a rotated token. Default:
   * `CONSUL_HTTP_TOKEN_FILE`, if `token` is not set.
   */
  readonly tokenFile?: string | undefined;
  /**
   * The user name and the password for a proxy in front of Consul, also as `"user:password"` (Go:
   * `HttpAuth`). Default: `CONSUL_HTTP_AUTH`.
   */
  readonly httpAuth?: string | HttpBasicAuth | undefined;
  /**
   * The namespace of requests that set none (Consul Enterprise). Default: `CONSUL_NAMESPACE`.
   */
  readonly namespace?: string | undefined;
  /**
   * The admin partition of requests that set none (Consul Enterprise). Default: `CONSUL_PARTITION`.
   */
  readonly partition?: string | undefined;
  /**
   * The TLS settings for an `https://` address (Go: `TLSConfig`). They cannot be combined with a
   * `dispatcher`, which has its own.
   */
  readonly tls?: ConsulTlsConfig | undefined;
  /**
   * The undici `Dispatcher` that sends the requests, for a proxy, a mock or your own settings (Go:
   * `HttpClient`). Closing the client does not close it. Default: the client's own connections. It uses
   * 8 at most, and up to 32 for blocking queries of semaphores.
   */
  readonly dispatcher?: Dispatcher | undefined;
}

/** The configuration after environment and defaults, in the form that the transport needs. */
export interface ResolvedConfig extends Location {
  readonly credentials: Credentials;
  readonly namespace: string | undefined;
  readonly partition: string | undefined;
  readonly datacenter: string | undefined;
  /** Set for an `https://` address. */
  readonly tls: TlsFiles | undefined;
  /** The caller's dispatcher, which the client must not close. */
  readonly dispatcher: Dispatcher | undefined;
}

const pem = z.union([z.string(), z.instanceof(Uint8Array)]);

const configSchema = z.strictObject({
  address: z.string().optional(),
  scheme: z.enum(["http", "https"]).optional(),
  datacenter: z.string().optional(),
  token: z.string().optional(),
  tokenFile: z.string().optional(),
  httpAuth: z
    .union(
      [z.string(), z.strictObject({ username: z.string(), password: z.string().optional() })],
      { error: "expected { username, password }" },
    )
    .optional(),
  namespace: z.string().optional(),
  partition: z.string().optional(),
  tls: z
    .strictObject({
      ca: z.union([pem, z.array(pem)]).optional(),
      caFile: z.string().optional(),
      caPath: z.string().optional(),
      certFile: z.string().optional(),
      keyFile: z.string().optional(),
      serverName: z.string().optional(),
      insecureSkipVerify: z.boolean().optional(),
    })
    .optional(),
  dispatcher: z
    .custom<Dispatcher>(
      (value) =>
        typeof value === "object" &&
        value !== null &&
        "dispatch" in value &&
        typeof value.dispatch === "function",
      { error: "expected an undici Dispatcher" },
    )
    .optional(),
});

/**
 * Resolves a configuration: an option takes precedence over the environment, and that over the
 * default.
 *
 * @throws ConsulConfigError that names the option or the variable, and the problem
 */
export function resolveConfig(config: ConsulClientConfig, env: Environment): ResolvedConfig {
  const parsed = configSchema.safeParse(config);
  if (!parsed.success) throw new ConsulConfigError(describeIssues(parsed.error.issues));
  const given = parsed.data;
  const location = locate(given, env);
  checkDispatcher(given, location);
  const isTls = location.origin.startsWith("https:");
  if (hasSettings(given.tls) && !isTls) {
    throw new ConsulConfigError(
      `the option tls has no effect with ${location.displayAddress}, which does not use TLS` +
        (location.socketPath === undefined
          ? ": write https:// before the address, or set the option scheme or CONSUL_HTTP_SSL"
          : ", since it is a unix socket"),
    );
  }
  return {
    ...location,
    credentials: new Credentials(given, env),
    namespace: someText(given.namespace ?? variableOf("CONSUL_NAMESPACE", env)?.value),
    partition: someText(given.partition ?? variableOf("CONSUL_PARTITION", env)?.value),
    datacenter: someText(given.datacenter),
    tls: isTls && given.dispatcher === undefined ? new TlsFiles(given.tls ?? {}, env) : undefined,
    dispatcher: given.dispatcher,
  };
}

/** A dispatcher has its own connections, to which a socket path and TLS settings cannot apply. */
function checkDispatcher(
  { dispatcher, tls }: z.output<typeof configSchema>,
  { socketPath, displayAddress }: Location,
): void {
  if (dispatcher === undefined) return;
  if (socketPath !== undefined) {
    throw new ConsulConfigError(
      `the address ${displayAddress} cannot be combined with a dispatcher: set the socket of the ` +
        `dispatcher (new Agent({ connect: { socketPath } })), and the address http://localhost`,
    );
  }
  if (hasSettings(tls)) {
    throw new ConsulConfigError(
      "the option tls cannot be combined with a dispatcher: set up TLS in the dispatcher " +
        "(new Agent({ connect: { ca, cert, key } }))",
    );
  }
}

/** An empty option overrides the environment with no value. */
function someText(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function hasSettings(tls: z.output<typeof configSchema>["tls"]): boolean {
  return Object.values(tls ?? {}).some((value) => value !== undefined);
}

function describeIssues(issues: readonly z.core.$ZodIssue[]): string {
  return issues
    .map((issue) =>
      issue.code === "unrecognized_keys"
        ? `unknown option ${issue.keys.map((key) => JSON.stringify(pathOf([...issue.path, key]))).join(", ")} ` +
          `of ConsulClient (known: ${knownOptions(issue.path).join(", ")})`
        : // Without the value, which may be a token.
          `invalid ${pathOf(issue.path) || "ConsulClient configuration"}: ${issue.message}`,
    )
    .join("; ");
}

function pathOf(path: readonly PropertyKey[]): string {
  return path.map(String).join(".");
}

function knownOptions(path: readonly PropertyKey[]): readonly string[] {
  if (path[0] === "tls") return Object.keys(configSchema.shape.tls.unwrap().shape);
  if (path[0] === "httpAuth") return ["username", "password"];
  return Object.keys(configSchema.shape);
}
