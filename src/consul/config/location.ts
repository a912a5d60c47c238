import { ConsulConfigError } from "./config-error.js";
import { flagOf, setting, type Environment, type Setting } from "./setting.js";

/** Where Consul is. */
export interface Location {
  /** Scheme, host and port, for requests and for messages. */
  readonly origin: string;
  /** The path under which a proxy serves Consul; usually empty. */
  readonly basePath: string;
  /** The address as error messages show it. */
  readonly displayAddress: string;
  /** The unix socket to connect to, instead of the origin's host and port. */
  readonly socketPath: string | undefined;
}

export type Scheme = "http" | "https";

export interface LocationOptions {
  readonly address?: string | undefined;
  readonly scheme?: Scheme | undefined;
}

const DEFAULT_ADDRESS = "127.0.0.1:8500";

/**
 * Parses the address. Its scheme takes precedence over the option, and that over `CONSUL_HTTP_SSL`.
 * But for an address from the environment, the option or `CONSUL_HTTP_SSL` can turn `http` into
 * `https`.
 *
 * @throws ConsulConfigError
 */
export function locate({ address, scheme }: LocationOptions, env: Environment): Location {
  const given = setting("address", address, "CONSUL_HTTP_ADDR", env) ?? {
    value: DEFAULT_ADDRESS,
    name: "address",
    from: "options",
  };
  const { written, rest } = splitScheme(given);
  const ssl = flagOf("CONSUL_HTTP_SSL", env);
  if (written === "unix") return socketAt(given, rest, scheme, ssl);
  const chosen = chooseScheme(given, written, scheme, ssl);
  return serverAt(given, chosen, rest, written === undefined);
}

function splitScheme(address: Setting): {
  readonly written: Scheme | "unix" | undefined;
  readonly rest: string;
} {
  if (/^(?:https?|unix)(?::(?!\/\/)|:?\/(?!\/)|\/\/)/i.test(address.value)) {
    throw badAddress(address, `"://" must follow the scheme`);
  }
  const [, scheme, rest = ""] = /^(?:([^:/]*):\/\/)?(.*)$/s.exec(address.value) ?? [];
  const written = scheme?.toLowerCase();
  if (written === undefined || written === "http" || written === "https" || written === "unix") {
    return { written, rest };
  }
  throw badAddress(address, `unknown scheme "${written}"`);
}

function chooseScheme(
  address: Setting,
  written: Scheme | undefined,
  option: Scheme | undefined,
  ssl: boolean | undefined,
): Scheme {
  if (written !== undefined && option !== undefined && written !== option) {
    if (address.from === "environment" && option === "https") return option;
    throw badAddress(address, `it contradicts the option scheme, which is "${option}"`);
  }
  if (option !== undefined) return option;
  if (written === "http" && address.from === "environment" && ssl === true) return "https";
  return written ?? (ssl === true ? "https" : "http");
}

function socketAt(
  address: Setting,
  path: string,
  scheme: Scheme | undefined,
  ssl: boolean | undefined,
): Location {
  if (!path.startsWith("/")) throw badAddress(address, "a unix socket needs an absolute path");
  if (scheme === "https" || (scheme === undefined && ssl === true)) {
    const setting = scheme === "https" ? 'the option scheme, "https",' : "CONSUL_HTTP_SSL";
    throw badAddress(address, `a unix socket does not use TLS, which ${setting} requires`);
  }
  return {
    origin: "http://localhost",
    basePath: "",
    displayAddress: address.value,
    socketPath: path,
  };
}

function serverAt(
  address: Setting,
  scheme: Scheme,
  rest: string,
  isSchemeLeftOut: boolean,
): Location {
  if (address.value.includes("@")) {
    throw badAddress(address, "it must not contain a user name or password (see httpAuth)");
  }
  if (/^:?\d+$/.test(rest)) throw badAddress(address, "the host is missing");
  const text = `${scheme}://${rest}`;
  if (!URL.canParse(text)) throw badAddress(address, "it is not a valid address");
  const url = new URL(text);
  if (url.search !== "" || url.hash !== "") {
    throw badAddress(address, "it must not have a query or fragment");
  }
  if (isSchemeLeftOut && scheme === "http" && url.port === "443") {
    throw badAddress(
      address,
      "port 443 is for TLS: write https:// before it, or http:// if it does not use TLS",
    );
  }
  const basePath = url.pathname.replace(/\/+$/, "");
  return {
    origin: url.origin,
    basePath,
    displayAddress: `${url.origin}${basePath}`,
    socketPath: undefined,
  };
}

function badAddress({ value, name }: Setting, problem: string): ConsulConfigError {
  // The value may contain a user name, a password or a query.
  const shown = /[@?#]/.test(value) ? "" : ` ${JSON.stringify(value)}`;
  return new ConsulConfigError(
    `invalid ${name}${shown}: ${problem} ` +
      `(expected host:port, http://host:port, https://host:port or unix:///path)`,
  );
}
