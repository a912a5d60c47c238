import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { rootCertificates } from "node:tls";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { ConsulConfigError } from "../../../../src/consul/config/config-error.js";
import {
  locateTls,
  readIdentity,
  type ConsulTlsConfig,
} from "../../../../src/consul/config/tls-settings.js";

const [authority = "", another = ""] = rootCertificates;
let folder: string;
let key: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "tls-settings-"));
  mkdirSync(path.join(folder, "authorities/more"), { recursive: true });
  mkdirSync(path.join(folder, "empty"));
  writeFileSync(path.join(folder, "authorities/1.pem"), authority);
  writeFileSync(path.join(folder, "authorities/more/2.pem"), another);
  writeFileSync(path.join(folder, "ca.pem"), authority);
  writeFileSync(path.join(folder, "text"), "no certificate");
  writeFileSync(
    path.join(folder, "broken.pem"),
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
  );
  key = generateKeyPairSync("ec", { namedCurve: "P-256" })
    .privateKey.export({ type: "pkcs8", format: "pem" })
    .toString();
  writeFileSync(path.join(folder, "key.pem"), key);
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

const at = (name: string): string => path.join(folder, name);

function refusal(config: ConsulTlsConfig, env: Record<string, string> = {}): string {
  try {
    readIdentity(locateTls(config, env));
  } catch (error) {
    if (error instanceof ConsulConfigError) return error.message;
    throw error;
  }
  throw new Error("the settings were accepted");
}

test("nothing given is the system's authorities, and no certificate of ours", () => {
  const sources = locateTls({}, {});
  expect(sources).toMatchObject({ serverName: undefined, insecureSkipVerify: false });
  expect(readIdentity(sources)).toEqual({ ca: undefined, cert: undefined, key: undefined });
});

describe("authorities", () => {
  const authorities = (config: ConsulTlsConfig, env = {}): readonly string[] | undefined =>
    readIdentity(locateTls(config, env)).ca;

  test("that were chosen are not widened by the environment, nor one of its variables by another", () => {
    const env = { CONSUL_CACERT: at("ca.pem"), CONSUL_CAPATH: at("authorities/more") };
    expect(authorities({ ca: another }, env)).toEqual([another]);
    expect(authorities({ caPath: at("authorities/more") }, env)).toEqual([another]);
    expect(authorities({}, env)).toEqual([authority]);
    expect(authorities({}, { ...env, CONSUL_CACERT: "" })).toEqual([another]);
    expect(refusal({ ca: [] })).toBe("invalid tls.ca: the list is empty");
  });

  test("come from a file, a folder and below, and as they are", () => {
    expect(authorities({ caFile: at("ca.pem") })).toEqual([authority]);
    expect(authorities({ caPath: at("authorities") })).toEqual([authority, another]);
    expect(authorities({ ca: authority })).toEqual([authority]);
    expect(authorities({ ca: [Buffer.from(authority), another] })).toEqual([authority, another]);
    expect(authorities({ ca: another, caFile: at("ca.pem") })).toEqual([another, authority]);
  });

  test("come from the environment where no option is given", () => {
    expect(authorities({}, { CONSUL_CACERT: at("ca.pem") })).toEqual([authority]);
    expect(authorities({}, { CONSUL_CAPATH: at("authorities") })).toHaveLength(2);
    const env = { CONSUL_CACERT: at("none") };
    expect(authorities({ caFile: at("ca.pem") }, env)).toEqual([authority]);
  });

  test.each<[string, () => ConsulTlsConfig, RegExp]>([
    ["a file that is not there", () => ({ caFile: at("none") }), /^invalid tls\.caFile: .*ENOENT/],
    ["a folder as a file", () => ({ caFile: at("empty") }), /^invalid tls\.caFile: .*EISDIR/],
    [
      "a file without one",
      () => ({ caFile: at("text") }),
      /^invalid tls\.caFile: .* contains no PEM certificate$/,
    ],
    [
      "a folder that is not there",
      () => ({ caPath: at("none") }),
      /^invalid tls\.caPath: .*ENOENT/,
    ],
    [
      "an empty folder",
      () => ({ caPath: at("empty") }),
      /^invalid tls\.caPath: .* contains no file$/,
    ],
    ["a folder with other files", () => ({ caPath: folder }), /^invalid tls\.caPath: /],
    [
      "text without one",
      () => ({ ca: "text" }),
      /^invalid tls\.ca: it contains no PEM certificate$/,
    ],
    [
      "one that is broken",
      () => ({ caFile: at("broken.pem") }),
      /^invalid tls\.caFile: a certificate in .* cannot be read/,
    ],
  ])("cannot come from %s", (_, config, problem) => {
    expect(refusal(config())).toMatch(problem);
  });

  test("are called by the variable's name where they came from there", () => {
    expect(refusal({}, { CONSUL_CACERT: at("none") })).toMatch(/^invalid CONSUL_CACERT: /);
    expect(refusal({}, { CONSUL_CAPATH: at("none") })).toMatch(/^invalid CONSUL_CAPATH: /);
  });
});

describe("a certificate of ours", () => {
  test("comes with its key, or not at all", () => {
    expect(refusal({ certFile: at("ca.pem") })).toBe(
      "tls.certFile requires the key of the certificate: set tls.keyFile or CONSUL_CLIENT_KEY too",
    );
    expect(refusal({}, { CONSUL_CLIENT_KEY: at("key.pem") })).toBe(
      "CONSUL_CLIENT_KEY requires the certificate of the key: set tls.certFile or CONSUL_CLIENT_CERT too",
    );
  });

  test("is refused with the key of another, without a word of the key", () => {
    const message = refusal({ certFile: at("ca.pem") }, { CONSUL_CLIENT_KEY: at("key.pem") });
    expect(message).toMatch(/^invalid tls\.certFile, CONSUL_CLIENT_KEY: the key does not match/);
    expect(message).not.toContain(key.split("\n")[1]);
  });

  test("is refused where it is too weak for OpenSSL", () => {
    const weak = path.join(import.meta.dirname, "weak-pair.pem");
    expect(refusal({ certFile: weak, keyFile: weak })).toMatch(
      /^invalid tls\.certFile, tls\.keyFile: OpenSSL refuses the certificate \(.*key too small\)/,
    );
  });
});

describe("who the server is", () => {
  test.each<[ConsulTlsConfig, Record<string, string>, string | undefined]>([
    [{ serverName: "a" }, { CONSUL_TLS_SERVER_NAME: "b" }, "a"],
    [{}, { CONSUL_TLS_SERVER_NAME: "b" }, "b"],
    [{}, { CONSUL_TLS_SERVER_NAME: "" }, undefined],
  ])("is said by %j and %j: %s", (config, env, name) => {
    expect(locateTls(config, env).serverName).toBe(name);
  });

  test.each<[ConsulTlsConfig, Record<string, string>, boolean]>([
    [{ insecureSkipVerify: true }, {}, true],
    [{ insecureSkipVerify: false }, { CONSUL_HTTP_SSL_VERIFY: "false" }, false],
    [{}, { CONSUL_HTTP_SSL_VERIFY: "false" }, true],
    [{}, { CONSUL_HTTP_SSL_VERIFY: "0" }, true],
    [{}, { CONSUL_HTTP_SSL_VERIFY: "true" }, false],
    [{}, { CONSUL_HTTP_SSL_VERIFY: "" }, false],
  ])("is of no account by %j and %j: %s", (config, env, skipped) => {
    expect(locateTls(config, env).insecureSkipVerify).toBe(skipped);
  });

  test("is not to be guessed from a word that says neither", () => {
    expect(refusal({}, { CONSUL_HTTP_SSL_VERIFY: "nope" })).toMatch(
      /^invalid CONSUL_HTTP_SSL_VERIFY "nope"/,
    );
  });
});
