import type { Dispatcher } from "undici";
import { z } from "zod";

/** Where a {@link ConsulClient} finds Consul and as whom it speaks. All of it is optional. */
export interface ConsulClientConfig {
  /**
   * The agent's HTTP address: `host:port`, `http://host:port`, `https://host:port` or
   * `unix:///path/to/socket`. Default: `CONSUL_HTTP_ADDR`, or else `127.0.0.1:8500`.
   */
  readonly address?: string | undefined;
  /** The ACL token to send. Default: `CONSUL_HTTP_TOKEN`, or else none. */
  readonly token?: string | undefined;
  /** The namespace of every request that names none (Consul Enterprise). */
  readonly namespace?: string | undefined;
  /** The admin partition of every request that names none (Consul Enterprise). */
  readonly partition?: string | undefined;
  /** The datacenter to ask. Default: that of the agent. */
  readonly datacenter?: string | undefined;
  /**
   * The undici `Dispatcher` that carries the requests, for a proxy, a mock or settings of your own.
   * It stays yours: closing the client does not close it. Default: connections of the client's own,
   * 8 at most and one for each blocking query.
   */
  readonly dispatcher?: Dispatcher | undefined;
}

/** The configuration after defaults and environment, in the form the transport needs. */
export interface ResolvedConfig {
  /** Scheme, host and port, for requests and for messages. */
  readonly origin: string;
  /** The path under which a proxy serves Consul; empty as a rule. */
  readonly basePath: string;
  /** What to call the other end in an error message. */
  readonly displayAddress: string;
  readonly token: string | undefined;
  readonly namespace: string | undefined;
  readonly partition: string | undefined;
  readonly datacenter: string | undefined;
  /** The unix socket to connect to, instead of the origin's host and port. */
  readonly socketPath: string | undefined;
  /** The caller's, which is not to be ended with the client. */
  readonly dispatcher: Dispatcher | undefined;
}

/** A {@link ConsulClient} was given a configuration it cannot work with; nothing was sent. */
export class ConsulConfigError extends TypeError {
  override readonly name = "ConsulConfigError";
  /** Stable across versions. */
  readonly code = "CONSUL_INVALID_CONFIG";
}

const DEFAULT_ADDRESS = "127.0.0.1:8500";

const configSchema = z.strictObject({
  address: z.string().optional(),
  token: z.string().optional(),
  namespace: z.string().optional(),
  partition: z.string().optional(),
  datacenter: z.string().optional(),
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
export function resolveConfig(
  config: ConsulClientConfig,
  env: Readonly<Record<string, string | undefined>>,
): ResolvedConfig {
  const parsed = configSchema.safeParse(config);
  if (!parsed.success) throw new ConsulConfigError(describeIssues(parsed.error.issues));
  const given = parsed.data;
  const location = locate(given.address, env["CONSUL_HTTP_ADDR"]);
  if (location.socketPath !== undefined && given.dispatcher !== undefined) {
    throw new ConsulConfigError(
      `the address ${location.displayAddress} cannot go with a dispatcher: give the dispatcher ` +
        `the socket (new Agent({ connect: { socketPath } })), and http://localhost as the address`,
    );
  }
  const token = given.token ?? env["CONSUL_HTTP_TOKEN"];
  if (token !== undefined && !/^[\x21-\x7e]*$/.test(token)) {
    throw new ConsulConfigError(
      `invalid ${given.token === undefined ? "CONSUL_HTTP_TOKEN" : "token"}: it contains a space, ` +
        `a line break or another character that no token has`,
    );
  }
  return {
    origin: location.origin,
    basePath: location.basePath,
    displayAddress: location.displayAddress,
    token: token === "" ? undefined : token,
    namespace: given.namespace,
    partition: given.partition,
    datacenter: given.datacenter,
    socketPath: location.socketPath,
    dispatcher: given.dispatcher,
  };
}

function locate(given: string | undefined, fromEnv: string | undefined): Location {
  if (given !== undefined) return parseAddress(given, "address");
  // As in the shell, a variable that is set to nothing is not set.
  if (fromEnv !== undefined && fromEnv !== "") return parseAddress(fromEnv, "CONSUL_HTTP_ADDR");
  return parseAddress(DEFAULT_ADDRESS, "address");
}

interface Location {
  readonly origin: string;
  readonly basePath: string;
  readonly displayAddress: string;
  readonly socketPath?: string;
}

function parseAddress(address: string, option: string): Location {
  const [, givenScheme, rest] = /^(?:([^:/]*):\/\/)?(.*)$/s.exec(address) ?? [];
  const scheme = givenScheme?.toLowerCase();
  if (scheme === "unix") {
    if (!rest?.startsWith("/")) throw badAddress(option, address, "a socket needs its full path");
    return {
      origin: "http://localhost",
      basePath: "",
      displayAddress: address,
      socketPath: rest,
    };
  }
  if (scheme !== undefined && scheme !== "http" && scheme !== "https") {
    throw badAddress(option, address, `unknown scheme "${scheme}"`);
  }
  if (address.includes("@")) {
    throw badAddress(option, address, "it must not contain a user name or password");
  }
  if (/^\d+$/.test(address)) throw badAddress(option, address, "the host is missing");
  const text = `${scheme ?? "http"}://${rest ?? ""}`;
  if (!URL.canParse(text)) throw badAddress(option, address, "this is no address");
  const url = new URL(text);
  if (url.search !== "" || url.hash !== "") {
    throw badAddress(option, address, "it must not have a query or fragment");
  }
  return {
    origin: url.origin,
    basePath: url.pathname.replace(/\/+$/, ""),
    displayAddress: `${url.origin}${url.pathname.replace(/\/+$/, "")}`,
  };
}

function badAddress(option: string, address: string, problem: string): ConsulConfigError {
  // A user name, a password or a query may be in there, in the wrong form or not.
  const shown = /[@?#]/.test(address) ? "" : ` ${JSON.stringify(address)}`;
  return new ConsulConfigError(
    `invalid ${option}${shown}: ${problem} ` +
      `(expected host:port, http://host:port, https://host:port or unix:///path)`,
  );
}

function describeIssues(issues: readonly z.core.$ZodIssue[]): string {
  return issues
    .map((issue) =>
      issue.code === "unrecognized_keys"
        ? `unknown option ${issue.keys.map((key) => JSON.stringify(key)).join(", ")} of ConsulClient ` +
          `(known: ${Object.keys(configSchema.shape).join(", ")})`
        : // The value is left out on purpose: it may be a token.
          `invalid ${issue.path.join(".") || "ConsulClient configuration"}: ${issue.message}`,
    )
    .join("; ");
}
