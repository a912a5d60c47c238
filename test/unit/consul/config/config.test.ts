import { Agent, MockAgent } from "undici";
import { describe, expect, test } from "vitest";

import {
  resolveConfig,
  type ConsulClientConfig,
  type ResolvedConfig,
} from "../../../../src/consul/config/config.js";
import { ConsulConfigError } from "../../../../src/consul/config/config-error.js";
import { ConsulClient } from "../../../../src/client.js";

function resolved(
  config: ConsulClientConfig = {},
  env: Record<string, string | undefined> = {},
): ResolvedConfig {
  return resolveConfig(config, env);
}

/** The error that a caller without types gets. */
function refusal(config: unknown, env: Record<string, string> = {}): ConsulConfigError {
  try {
    Reflect.apply(resolveConfig, undefined, [config, env]);
  } catch (error) {
    if (error instanceof ConsulConfigError) return error;
    throw error;
  }
  throw new Error("the configuration was accepted");
}

describe("the address", () => {
  test.each([
    ["host:port", "consul.example:8501", "http://consul.example:8501", ""],
    ["a host alone", "consul.example", "http://consul.example", ""],
    ["http", "http://consul.example:8500", "http://consul.example:8500", ""],
    ["https", "https://consul.example:8501", "https://consul.example:8501", ""],
    ["https without a port", "https://consul.example", "https://consul.example", ""],
    ["IPv4", "10.0.0.1:8500", "http://10.0.0.1:8500", ""],
    ["IPv6", "[::1]:8500", "http://[::1]:8500", ""],
    ["IPv6 with a scheme", "https://[2001:db8::1]:8501", "https://[2001:db8::1]:8501", ""],
    ["a slash at the end", "http://consul.example:8500/", "http://consul.example:8500", ""],
    ["host:port and a slash", "consul.example:8500/", "http://consul.example:8500", ""],
    ["a path", "https://example.org/consul", "https://example.org", "/consul"],
    ["a path and slashes", "https://example.org/a/consul//", "https://example.org", "/a/consul"],
    ["host:port and a path", "example.org:80/consul", "http://example.org", "/consul"],
  ])("may be %s", (_, address, origin, basePath) => {
    for (const config of [
      resolved({ address }),
      resolved({}, { CONSUL_HTTP_ADDR: address }),
      resolved({ address }, { CONSUL_HTTP_ADDR: "other:1" }),
    ]) {
      expect(config).toMatchObject({ origin, basePath, displayAddress: `${origin}${basePath}` });
      expect(config.socketPath).toBeUndefined();
    }
  });

  test("may be a unix socket, which is what errors show", () => {
    const config = resolved({ address: "unix:///run/consul/http.sock" });
    expect(config.displayAddress).toBe("unix:///run/consul/http.sock");
    expect(config.basePath).toBe("");
    expect(config.socketPath).toBe("/run/consul/http.sock");
  });

  test.each([undefined, ""])("is the local agent's where the variable is %j", (variable) => {
    expect(resolved({}, { CONSUL_HTTP_ADDR: variable }).origin).toBe("http://127.0.0.1:8500");
  });

  const BAD: readonly (readonly [string, string])[] = [
    ["", "it is not a valid address"],
    ["http://", "it is not a valid address"],
    ["consul.example:port", "it is not a valid address"],
    ["consul.example:99999", "it is not a valid address"],
    ["::1", "it is not a valid address"],
    ["http://a b", "it is not a valid address"],
    ["ftp://consul.example", 'unknown scheme "ftp"'],
    ["tcp://consul.example:8500", 'unknown scheme "tcp"'],
    ["://consul.example", 'unknown scheme ""'],
    ["8500", "the host is missing"],
    [":8500", "the host is missing"],
    ["https//consul.example:8501", '"://" must follow the scheme'],
    ["https:/consul.example:8501", '"://" must follow the scheme'],
    ["https:consul.example:8501", '"://" must follow the scheme'],
    ["http:8500", '"://" must follow the scheme'],
    ["unix:/run/consul.sock", '"://" must follow the scheme'],
    ["consul.example:443", "port 443 is for TLS"],
    ["unix://", "a unix socket needs an absolute path"],
    ["unix://consul.sock", "a unix socket needs an absolute path"],
  ];

  test.each(BAD)("is refused with the reason and the forms that there are: %j", (address, why) => {
    const error = refusal({ address });
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({ name: "ConsulConfigError", code: "CONSUL_INVALID_CONFIG" });
    expect(error.message).toContain(`invalid address ${JSON.stringify(address)}: ${why}`);
    expect(error.message).toContain("expected host:port, http://host:port, ");
  });

  test.each([
    ["http://consul.example?token=secret", "it must not have a query or fragment"],
    ["consul.example:8500#secret", "it must not have a query or fragment"],
    ["http://user:secret/secret@consul.example:8500", "it must not contain a user name"],
    ["http://user:secret@secret@consul.example:port", "it must not contain a user name"],
    ["user:1234/secret@consul.example:8500", "it must not contain a user name"],
  ])("is not shown where it may hold a secret: %j", (address, why) => {
    const { message } = refusal({ address });
    expect(message).toContain(`invalid address: ${why}`);
    expect(message).not.toContain("secret");
  });

  test("may have its scheme in capitals", () => {
    expect(resolved({ address: "HTTP://consul.example:8500" }).origin).toBe(
      "http://consul.example:8500",
    );
  });

  test("is called by the variable's name where it came from there", () => {
    expect(refusal({}, { CONSUL_HTTP_ADDR: "ftp://x" }).message).toContain(
      'invalid CONSUL_HTTP_ADDR "ftp://x": unknown scheme "ftp"',
    );
  });

  test.each([
    "http://user:secret@consul.example:8500",
    "user:secret@consul.example:8500",
    "https://secret@consul.example",
    "http://:secret@consul.example",
    "http://user:secret@consul.example:port",
    "ftp://user:secret@consul.example",
    "user:secret@consul.example:8500?x",
    "http://user:secret@",
    "http://user:sec?secret@consul.example",
  ])("is refused without a word of its password: %s", (address) => {
    for (const error of [refusal({ address }), refusal({}, { CONSUL_HTTP_ADDR: address })]) {
      expect(error.message).toMatch(/^invalid (address|CONSUL_HTTP_ADDR)/);
      expect(error.message).not.toContain("secret");
      expect(error.stack).not.toContain("secret");
    }
  });
});

describe("the scheme", () => {
  const host = "consul.example:8501";
  const origin = (config: ConsulClientConfig, env: Record<string, string> = {}): string =>
    resolved(config, env).origin;

  test.each<[string, ConsulClientConfig, Record<string, string>, "http" | "https"]>([
    ["is http by default", { address: host }, {}, "http"],
    ["is that of the option", { address: host, scheme: "https" }, {}, "https"],
    ["is that of the variable", { address: host }, { CONSUL_HTTP_SSL: "1" }, "https"],
    ["is not that of a variable that says no", { address: host }, { CONSUL_HTTP_SSL: "F" }, "http"],
    ["is not that of an empty variable", { address: host }, { CONSUL_HTTP_SSL: "" }, "http"],
    [
      "is that of the option, over the variable",
      { address: host, scheme: "http" },
      { CONSUL_HTTP_SSL: "true" },
      "http",
    ],
    [
      "is that of the address, over the variable",
      { address: `http://${host}` },
      { CONSUL_HTTP_SSL: "true" },
      "http",
    ],
    [
      "is https where one of two variables demands it, as in Go",
      {},
      { CONSUL_HTTP_ADDR: `http://${host}`, CONSUL_HTTP_SSL: "true" },
      "https",
    ],
    [
      "is https where the address says so and the variable does not",
      {},
      { CONSUL_HTTP_ADDR: `https://${host}`, CONSUL_HTTP_SSL: "false" },
      "https",
    ],
    [
      "is that of the option, over the variable's address",
      { scheme: "https" },
      { CONSUL_HTTP_ADDR: `http://${host}` },
      "https",
    ],
    ["may be said twice", { address: `https://${host}`, scheme: "https" }, {}, "https"],
  ])("%s", (_, config, env, scheme) => {
    expect(origin(config, env)).toBe(`${scheme}://${host}`);
  });

  test("is refused where two options contradict each other", () => {
    expect(refusal({ address: `https://${host}`, scheme: "http" }).message).toContain(
      'it contradicts the option scheme, which is "http"',
    );
    expect(refusal({ address: "unix:///run/consul.sock", scheme: "https" }).message).toContain(
      "a unix socket does not use TLS",
    );
  });

  test("is refused for a unix socket where a variable demands TLS, but not where an option does not", () => {
    const address = "unix:///run/consul.sock";
    expect(refusal({ address }, { CONSUL_HTTP_SSL: "true" }).message).toContain(
      "a unix socket does not use TLS, which CONSUL_HTTP_SSL requires",
    );
    expect(refusal({ address, scheme: "https" }).message).toContain(
      'a unix socket does not use TLS, which the option scheme, "https", requires',
    );
    const config = resolved({ address, scheme: "http" }, { CONSUL_HTTP_SSL: "true" });
    expect(config).toMatchObject({ socketPath: "/run/consul.sock", tls: undefined });
    expect(refusal({ address, tls: { serverName: "a" } }).message).toContain(
      "does not use TLS, since it is a unix socket",
    );
  });

  test("is not made http by an option where the variable's address is of https", () => {
    const env = { CONSUL_HTTP_ADDR: "https://consul.example" };
    expect(refusal({ scheme: "http" }, env).message).toContain(
      'invalid CONSUL_HTTP_ADDR "https://consul.example": it contradicts the option scheme',
    );
    expect(origin({ scheme: "https" }, { CONSUL_HTTP_ADDR: "http://consul.example" })).toBe(
      "https://consul.example",
    );
  });

  test("may be http on port 443 for who writes it", () => {
    expect(origin({ address: "http://consul.example:443" })).toBe("http://consul.example:443");
    expect(origin({ address: "consul.example:443", scheme: "https" })).toBe(
      "https://consul.example",
    );
  });

  test.each(["yes", "TRUE ", "2", "on"])("is refused where a variable says %j", (word) => {
    expect(refusal({}, { CONSUL_HTTP_SSL: word }).message).toContain(
      `invalid CONSUL_HTTP_SSL ${JSON.stringify(word)}: expected one of 1, t, T, TRUE, true, True, 0`,
    );
  });
});

describe("the rest of the configuration", () => {
  test("goes through as it is", () => {
    const given = { datacenter: "dc1", namespace: "team", partition: "west" };
    expect(resolved(given)).toMatchObject(given);
    expect(resolved()).toMatchObject({
      datacenter: undefined,
      namespace: undefined,
      partition: undefined,
    });
  });

  test("comes from the environment where it is not given", () => {
    const env = { CONSUL_NAMESPACE: "team", CONSUL_PARTITION: "west" };
    expect(resolved({}, env)).toMatchObject({ namespace: "team", partition: "west" });
    expect(resolved({ namespace: "other", partition: "east" }, env)).toMatchObject({
      namespace: "other",
      partition: "east",
    });
  });

  test("refuses TLS settings that nothing would use", async () => {
    const tls = { serverName: "consul.example" };
    expect(refusal({ tls }).message).toContain(
      "the option tls has no effect with http://127.0.0.1:8500, which does not use TLS",
    );
    const dispatcher = new Agent();
    expect(refusal({ address: "https://consul.example", tls, dispatcher }).message).toContain(
      "the option tls cannot be combined with a dispatcher",
    );
    await dispatcher.close();
  });

  test("leaves TLS variables alone where there is no TLS, or none of ours", async () => {
    const env = { CONSUL_CACERT: "/no/such/file" };
    expect(resolved({}, env).tls).toBeUndefined();
    const dispatcher = new Agent();
    expect(resolved({ address: "https://consul.example", dispatcher }, env).tls).toBeUndefined();
    await dispatcher.close();
  });

  test.each([
    ["an Agent", new Agent()],
    ["a MockAgent", new MockAgent()],
  ])("may have a dispatcher, which stays the caller's: %s", async (_, dispatcher) => {
    const config = resolved({ dispatcher });
    expect(config.dispatcher).toBe(dispatcher);
    await dispatcher.close();
  });

  test("takes undefined for not given", () => {
    const config = resolved({ address: undefined, token: undefined, dispatcher: undefined });
    expect(config.origin).toBe("http://127.0.0.1:8500");
    expect(config.dispatcher).toBeUndefined();
  });

  test.each([null, {}, { dispatch: 5 }, "agent", () => undefined])(
    "refuses a dispatcher that is none: %o",
    (dispatcher) => {
      expect(refusal({ dispatcher }).message).toBe(
        "invalid dispatcher: expected an undici Dispatcher",
      );
    },
  );

  test("refuses a dispatcher together with a unix socket, which it would not use", async () => {
    const dispatcher = new Agent();
    const { message } = refusal({ address: "unix:///run/consul.sock", dispatcher });
    expect(message).toContain("unix:///run/consul.sock");
    expect(message).toContain("dispatcher");
    await dispatcher.close();
  });

  test("refuses an option that it does not know, and tells those it does", () => {
    const { message } = refusal({ adress: "a", tokens: "secret" });
    expect(message).toContain('unknown option "adress", "tokens"');
    expect(message).toContain("known: address, scheme, datacenter, token");
    expect(message).not.toContain("secret");
    expect(refusal({ tls: { cafile: "x" } }).message).toContain(
      'unknown option "tls.cafile" of ConsulClient (known: ca, caFile,',
    );
  });

  test.each(["address", "token", "tokenFile", "namespace", "partition", "datacenter"])(
    "refuses a %s that is no string, without showing it",
    (option) => {
      const { message } = refusal({ [option]: 123456789 });
      expect(message).toContain(`invalid ${option}: `);
      expect(message).toContain("expected string");
      expect(message).not.toContain("123456789");
    },
  );

  test.each([[null], [5], ["localhost:8500"], [[]]])(
    "refuses what is no configuration: %j",
    (config) => {
      expect(refusal(config).message).toContain("invalid ConsulClient configuration: ");
    },
  );

  test("is looked at when the client is made, not when it is used", () => {
    expect(() => new ConsulClient({ address: "ftp://consul.example" })).toThrow(ConsulConfigError);
  });
});
