import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { inspect } from "node:util";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { ConsulConfigError } from "../../../../src/consul/config/config-error.js";
import { Credentials, type CredentialOptions } from "../../../../src/consul/config/credentials.js";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "credentials-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function fileWith(text: string, name = "token"): string {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return file;
}

const tokenOf = (
  options: CredentialOptions,
  env: Record<string, string> = {},
): string | undefined => new Credentials(options, env).headers["x-consul-token"];

function refusal(options: CredentialOptions, env: Record<string, string> = {}): ConsulConfigError {
  try {
    new Credentials(options, env);
  } catch (error) {
    if (error instanceof ConsulConfigError) return error;
    throw error;
  }
  throw new Error("they were accepted");
}

describe("the token", () => {
  test("is what was given, over the environment", () => {
    expect(tokenOf({ token: "a" }, { CONSUL_HTTP_TOKEN: "b" })).toBe("a");
    expect(tokenOf({}, { CONSUL_HTTP_TOKEN: "b" })).toBe("b");
    expect(tokenOf({})).toBeUndefined();
  });

  test("is none where it is empty", () => {
    expect(tokenOf({ token: "" }, { CONSUL_HTTP_TOKEN: "b" })).toBeUndefined();
    expect(tokenOf({}, { CONSUL_HTTP_TOKEN: "" })).toBeUndefined();
    expect(new Credentials({ token: "" }, {}).hasToken).toBe(false);
    expect(new Credentials({ token: "a" }, {}).hasToken).toBe(true);
  });

  test("is what the file has in it, without the space around it", () => {
    const file = fileWith(" secret\r\n");
    expect(tokenOf({ tokenFile: file })).toBe("secret");
    expect(tokenOf({}, { CONSUL_HTTP_TOKEN_FILE: file })).toBe("secret");
  });

  test("is that of a file before one beside it, as in Go, but not before one given over it", () => {
    const file = fileWith("from the file".replaceAll(" ", "-"));
    expect(tokenOf({ tokenFile: file, token: "a" })).toBe("from-the-file");
    const env = { CONSUL_HTTP_TOKEN_FILE: file, CONSUL_HTTP_TOKEN: "b" };
    expect(tokenOf({}, env)).toBe("from-the-file");
    expect(tokenOf({ token: "a" }, env)).toBe("a");
    expect(tokenOf({ tokenFile: fileWith("other", "2") }, env)).toBe("other");
  });

  test.each(["secret\n", "secret\r\nx-evil: 1", " secret", "sec ret", "secret\0", "secrét"])(
    "is refused unseen where no token looks so: %j",
    (token) => {
      const given = refusal({ token });
      expect(given.message).toMatch(/^invalid token: /);
      const fromEnv = refusal({}, { CONSUL_HTTP_TOKEN: token });
      expect(fromEnv.message).toMatch(/^invalid CONSUL_HTTP_TOKEN: /);
      for (const { message } of [given, fromEnv]) {
        expect(message).not.toContain("sec");
        expect(message).toContain("a line break");
      }
    },
  );

  test("is refused where its file is of no use, with the file's name and not a word of it", () => {
    const none = path.join(folder, "none");
    expect(refusal({ tokenFile: none }).message).toMatch(
      /^invalid tokenFile: .*none cannot be read \(ENOENT/,
    );
    expect(refusal({}, { CONSUL_HTTP_TOKEN_FILE: fileWith("\n") }).message).toMatch(
      /^invalid CONSUL_HTTP_TOKEN_FILE: .* contains no token$/,
    );
    const { message } = refusal({ tokenFile: fileWith("two secrets") });
    expect(message).toMatch(/^invalid tokenFile: the token in .* contains a space/);
    expect(message).not.toContain("secrets");
  });
});

describe("a token's file that is read again", () => {
  test("tells whether there is another token in it", async () => {
    const tokenFile = fileWith("first");
    const credentials = new Credentials({ tokenFile }, {});
    const before = credentials.headers;
    expect(await credentials.renew(before)).toBe(false);
    fileWith("second\n");
    expect(await credentials.renew(before)).toBe(true);
    expect(credentials.headers).toEqual({ "x-consul-token": "second" });
    // Whoever was refused with the first one meanwhile finds that somebody has read it already.
    expect(await credentials.renew(before)).toBe(true);
    expect(await credentials.renew(credentials.headers)).toBe(false);
  });

  test.each(["", "\n", "half a tok"])("is left alone while it holds %j", async (text) => {
    const tokenFile = fileWith("first");
    const credentials = new Credentials({ tokenFile }, {});
    fileWith(text);
    expect(await credentials.renew(credentials.headers)).toBe(false);
    expect(credentials.headers).toEqual({ "x-consul-token": "first" });
  });

  test("is left alone where it is gone, and where the token is not from one", async () => {
    const tokenFile = fileWith("first");
    const credentials = new Credentials({ tokenFile }, {});
    rmSync(tokenFile);
    expect(await credentials.renew(credentials.headers)).toBe(false);
    const given = new Credentials({ token: "a" }, {});
    expect(await given.renew(given.headers)).toBe(false);
  });
});

describe("a user name and a password", () => {
  const authorization = (
    options: CredentialOptions,
    env: Record<string, string> = {},
  ): string | undefined => new Credentials(options, env).headers["authorization"];
  const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString("base64")}`;

  test.each<[CredentialOptions, Record<string, string>, string | undefined]>([
    [{}, {}, undefined],
    [{}, { CONSUL_HTTP_AUTH: "" }, undefined],
    [{}, { CONSUL_HTTP_AUTH: "me:pass" }, basic("me:pass")],
    [{ httpAuth: "me:a:b" }, { CONSUL_HTTP_AUTH: "x:y" }, basic("me:a:b")],
    [{ httpAuth: "me" }, {}, basic("me:")],
    [{ httpAuth: { username: "me", password: "pä:ss" } }, {}, basic("me:pä:ss")],
    [{ httpAuth: { username: "me" } }, {}, basic("me:")],
  ])("%j with %j are sent as %s", (options, env, header) => {
    expect(authorization(options, env)).toBe(header);
  });

  test("are refused where they could not be told apart", () => {
    expect(refusal({ httpAuth: { username: "a:b", password: "secret" } }).message).toBe(
      "invalid httpAuth: a user name cannot contain a colon",
    );
  });

  test.each([
    "me:\ud800",
    { username: "me", password: "\udc00" },
    { username: "\ud800", password: "secret" },
  ])("are refused where UTF-8 cannot write them: %j", (httpAuth) => {
    expect(refusal({ httpAuth }).message).toBe(
      "invalid httpAuth: it contains an unpaired surrogate",
    );
  });
});

describe("secrets", () => {
  const credentials = (): Credentials =>
    new Credentials({ token: "to/ken", httpAuth: "me:pass word" }, {});

  test("are hidden in every form in which they are sent", () => {
    const { secrets } = credentials();
    for (const secret of ["to/ken", "to%2Fken", "pass word", "pass%20word", "bWU6cGFzcyB3b3Jk"]) {
      expect(secrets.hide(`x ${secret} y`)).toBe("x *** y");
      expect(secrets.areIn({ deep: [{ in: new Error(secret) }] })).toBe(true);
    }
    expect(secrets.areIn({ deep: "nothing" })).toBe(false);
  });

  test("are hidden as JSON and HTML write them, and found in a text of any length", () => {
    const { secrets } = new Credentials({ token: `a"b\\c<d>&'e` }, {});
    const token = `a"b\\c<d>&'e`;
    expect(secrets.hide(JSON.stringify({ token }))).toBe('{"token":"***"}');
    expect(secrets.hide("<b>a&#34;b\\c&lt;d&gt;&amp;&#39;e</b>")).toBe("<b>***</b>");
    expect(secrets.areIn({ data: `${"x".repeat(50_000)}${token}` })).toBe(true);
    expect(secrets.areIn([...Array.from({ length: 500 }, () => "x"), token])).toBe(true);
  });

  test("are those of a token that was rotated, too", async () => {
    const tokenFile = fileWith("first-one");
    const rotated = new Credentials({ tokenFile }, {});
    fileWith("second-one");
    await rotated.renew(rotated.headers);
    expect(rotated.secrets.hide("first-one second-one")).toBe("*** ***");
  });

  test("are looked for also in what does not let itself be asked", () => {
    const { secrets } = credentials();
    const odd = Object.defineProperty({}, "odd", {
      enumerable: true,
      get: () => {
        throw new Error("no");
      },
    });
    expect(secrets.areIn(odd)).toBe(false);
    expect(secrets.areIn([odd, { deep: "to/ken" }])).toBe(true);
  });

  test("cannot be seen from outside", () => {
    const shown = inspect(credentials(), { depth: null, showHidden: true });
    expect(shown).not.toContain("to/ken");
    expect(shown).not.toContain("pass word");
    expect(JSON.stringify(credentials())).toBe("{}");
  });
});
