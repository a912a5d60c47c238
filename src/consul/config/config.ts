import type { Dispatcher } from "undici";
import { z } from "zod";

import { ConsulConfigError } from "./config-error.js";
import { Credentials, type HttpBasicAuth } from "./credentials.js";
import { locate, type Location } from "./location.js";
import { variableOf, type Environment } from "./setting.js";
import { readTlsSettings, type ConsulTlsConfig, type TlsSettings } from "./tls-settings.js";

/**
 * Where a {@link ConsulClient} finds Consul and as whom it speaks (Go: `Config`). All of it is
 * optional; what is not given comes from the variables that Consul's Go client and its CLI read. An
 * option that is not known is refused.
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
   * For an address without one (Go: `Scheme`). Default: `"https"` where `CONSUL_HTTP_SSL` is true,
   * or else `"http"`.
   */
  readonly scheme?: "http" | "https" | undefined;
  /** The datacenter to ask (Go: `Datacenter`). Default: that of the agent. */
  readonly datacenter?: string | undefined;
  /**
   * The ACL token to send (Go: `Token`). Default: `CONSUL_HTTP_TOKEN`, or else none. No error and no
   * event shows it.
   */
  readonly token?: string | undefined;
  /**
   * A file with the ACL token, which goes before `token` (Go: `TokenFile`). It is read again when
   * Consul refuses permission, so that a rotated token is taken up. Default:
   * `CONSUL_HTTP_TOKEN_FILE`, where `token` is not given.
   */
  readonly tokenFile?: string | undefined;
  /**
   * A user name and a password for a proxy before Consul, also as `"user:password"` (Go:
   * `HttpAuth`). Default: `CONSUL_HTTP_AUTH`.
   */
  readonly httpAuth?: string | HttpBasicAuth | undefined;
  /**
   * The namespace of every request that names none (Consul Enterprise). Default: `CONSUL_NAMESPACE`.
   */
  readonly namespace?: string | undefined;
  /**
   * The admin partition of every request that names none (Consul Enterprise). Default:
   * `CONSUL_PARTITION`.
   */
  readonly partition?: string | undefined;
  /**
   * How to speak TLS, for an `https://` address (Go: `TLSConfig`). With a `dispatcher` it is refused:
   * then TLS is the dispatcher's affair.
   */
  readonly tls?: ConsulTlsConfig | undefined;
  /**
   * The undici `Dispatcher` that carries the requests, for a proxy, a mock or settings of your own
   * (Go: `HttpClient`). It stays yours: closing the client does not close it. Default: connections of
   * the client's own, 8 at most and one for each blocking query.
   */
  readonly dispatcher?: Dispatcher | undefined;
}

/** The configuration after defaults and environment, in the form the transport needs. */
export interface ResolvedConfig extends Location {
  readonly credentials: Credentials;
  readonly namespace: string | undefined;
  readonly partition: string | undefined;
  readonly datacenter: string | undefined;
  /** Where the address is one of TLS. */
  readonly tls: TlsSettings | undefined;
  /** The caller's, which is not to be ended with the client. */
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
    .union([z.string(), z.strictObject({ username: z.string(), password: z.string().optional() })])
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
 * The configuration to work with: what was given, over the environment, over the defaults.
 *
 * @throws ConsulConfigError that names the option or the variable and what is wrong with it.
 */
export function resolveConfig(config: ConsulClientConfig, env: Environment): ResolvedConfig {
  const parsed = configSchema.safeParse(config);
  if (!parsed.success) throw new ConsulConfigError(describeIssues(parsed.error.issues));
  const given = parsed.data;
  const location = locate(given, env);
  requireOwnConnections(given, location);
  const isTls = location.origin.startsWith("https:");
  if (asksFor(given.tls) && !isTls) {
    throw new ConsulConfigError(
      `the option tls is of no use with ${location.displayAddress}, which is asked without TLS` +
        (location.socketPath === undefined
          ? ": write https:// before the address, or set the option scheme or CONSUL_HTTP_SSL"
          : ", as a socket is"),
    );
  }
  return {
    ...location,
    credentials: new Credentials(given, env),
    namespace: someText(given.namespace ?? variableOf("CONSUL_NAMESPACE", env)?.value),
    partition: someText(given.partition ?? variableOf("CONSUL_PARTITION", env)?.value),
    datacenter: someText(given.datacenter),
    tls:
      isTls && given.dispatcher === undefined ? readTlsSettings(given.tls ?? {}, env) : undefined,
    dispatcher: given.dispatcher,
  };
}

/** What is a matter of the connections cannot be had of a dispatcher that makes its own. */
function requireOwnConnections(
  { dispatcher, tls }: z.output<typeof configSchema>,
  { socketPath, displayAddress }: Location,
): void {
  if (dispatcher === undefined) return;
  if (socketPath !== undefined) {
    throw new ConsulConfigError(
      `the address ${displayAddress} cannot go with a dispatcher: give the dispatcher ` +
        `the socket (new Agent({ connect: { socketPath } })), and http://localhost as the address`,
    );
  }
  if (asksFor(tls)) {
    throw new ConsulConfigError(
      "the option tls cannot go with a dispatcher: give it to the dispatcher " +
        "(new Agent({ connect: { ca, cert, key } }))",
    );
  }
}

/** An empty option is none, whatever the environment says. */
function someText(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function asksFor(tls: z.output<typeof configSchema>["tls"]): boolean {
  return Object.values(tls ?? {}).some((value) => value !== undefined);
}

function describeIssues(issues: readonly z.core.$ZodIssue[]): string {
  return issues
    .map((issue) =>
      issue.code === "unrecognized_keys"
        ? `unknown option ${issue.keys.map((key) => JSON.stringify(pathOf([...issue.path, key]))).join(", ")} ` +
          `of ConsulClient (known: ${knownOptions(issue.path).join(", ")})`
        : // The value is left out on purpose: it may be a token.
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
