import { createPrivateKey, X509Certificate } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

import { ConsulConfigError } from "./config-error.js";
import { flagOf, setting, variableOf, type Environment, type Setting } from "./setting.js";
import { attemptAt, readText } from "./setting-file.js";

/**
 * How to speak TLS with Consul, for an `https://` address (Go: `TLSConfig`). All of it is optional.
 * Files are read once, when the client is made.
 *
 * @example
 * ```ts
 * const tls: ConsulTlsConfig = { caFile: "/etc/consul/ca.pem", serverName: "server.dc1.consul" };
 * const consul = new ConsulClient({ address: "https://10.0.0.7:8501", tls });
 * ```
 */
export interface ConsulTlsConfig {
  /**
   * Certificates of authorities to trust, in PEM (Go: `CAPem`). Default, where none are given by any
   * other way: those that Node trusts.
   */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  /** A file with such certificates (Go: `CAFile`). Default, where no authorities are given: `CONSUL_CACERT`. */
  readonly caFile?: string | undefined;
  /**
   * A folder with files of such certificates (Go: `CAPath`). Default, where no authorities are given
   * and there is no `CONSUL_CACERT`: `CONSUL_CAPATH`.
   */
  readonly caPath?: string | undefined;
  /**
   * A file with the client's certificate, in PEM (Go: `CertFile`). Default: `CONSUL_CLIENT_CERT`. It
   * needs its key.
   */
  readonly certFile?: string | undefined;
  /** A file with the key of that certificate, in PEM (Go: `KeyFile`). Default: `CONSUL_CLIENT_KEY`. */
  readonly keyFile?: string | undefined;
  /**
   * The name that the server's certificate has to carry, where that is not the address's host (Go:
   * `Address`). Default: `CONSUL_TLS_SERVER_NAME`.
   */
  readonly serverName?: string | undefined;
  /**
   * Talks to a server whoever it is, with a warning of the process (Go: `InsecureSkipVerify`).
   * Default: the opposite of `CONSUL_HTTP_SSL_VERIFY`, or else `false`.
   */
  readonly insecureSkipVerify?: boolean | undefined;
}

/** The same, read and checked. */
export interface TlsSettings {
  readonly ca: readonly string[] | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly serverName: string | undefined;
  readonly insecureSkipVerify: boolean;
}

const PEM_CERTIFICATES = /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs;

/**
 * Reads the files, so that what is wrong with them is told now and not by the first handshake.
 *
 * @throws ConsulConfigError
 */
export function readTlsSettings(config: ConsulTlsConfig, env: Environment): TlsSettings {
  const certFile = setting("tls.certFile", config.certFile, "CONSUL_CLIENT_CERT", env);
  const keyFile = setting("tls.keyFile", config.keyFile, "CONSUL_CLIENT_KEY", env);
  requireBoth(certFile, keyFile);
  const cert = certFile && certificatesIn(certFile);
  const key =
    certFile && cert !== undefined && keyFile ? requirePair(certFile, cert, keyFile) : undefined;
  return {
    ...{ ca: authoritiesOf(config, env), cert, key },
    serverName: setting("tls.serverName", config.serverName, "CONSUL_TLS_SERVER_NAME", env)?.value,
    insecureSkipVerify:
      config.insecureSkipVerify ?? flagOf("CONSUL_HTTP_SSL_VERIFY", env) === false,
  };
}

function requireBoth(cert: Setting<string> | undefined, key: Setting<string> | undefined): void {
  if (cert !== undefined && key === undefined) {
    throw new ConsulConfigError(
      `${cert.name} is a certificate without its key: set tls.keyFile or CONSUL_CLIENT_KEY too`,
    );
  }
  if (key !== undefined && cert === undefined) {
    throw new ConsulConfigError(
      `${key.name} is a key without its certificate: set tls.certFile or CONSUL_CLIENT_CERT too`,
    );
  }
}

/** What the environment would add to the authorities that were chosen is not trusted beside them. */
function authoritiesOf(
  { ca, caFile, caPath }: ConsulTlsConfig,
  env: Environment,
): readonly string[] | undefined {
  if (ca !== undefined || caFile !== undefined || caPath !== undefined) {
    return [
      ...givenAuthorities(ca),
      ...(caFile === undefined ? [] : [certificatesIn(option("tls.caFile", caFile))]),
      ...(caPath === undefined ? [] : certificatesBelow(option("tls.caPath", caPath))),
    ];
  }
  const file = variableOf("CONSUL_CACERT", env);
  if (file !== undefined) return [certificatesIn(file)];
  const folder = variableOf("CONSUL_CAPATH", env);
  return folder && certificatesBelow(folder);
}

function option(name: string, value: string): Setting<string> {
  return { name, value, from: "options" };
}

function givenAuthorities(ca: ConsulTlsConfig["ca"]): readonly string[] {
  if (ca === undefined) return [];
  const all = typeof ca === "string" || ca instanceof Uint8Array ? [ca] : ca;
  if (all.length === 0) throw new ConsulConfigError("invalid tls.ca: the list is empty");
  return all.map((one) => {
    const text = typeof one === "string" ? one : Buffer.from(one).toString();
    return checkedCertificates(text, "tls.ca", "it");
  });
}

/** `file`: where it is not the setting that names it. */
function certificatesIn({ name, value, from }: Setting<string>, file = value): string {
  return checkedCertificates(readText({ name, value: file, from }), name, file);
}

function checkedCertificates(text: string, name: string, place: string): string {
  const certificates = text.match(PEM_CERTIFICATES) ?? [];
  if (certificates.length === 0) {
    throw new ConsulConfigError(`invalid ${name}: there is no certificate in PEM in ${place}`);
  }
  try {
    for (const certificate of certificates) new X509Certificate(certificate);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new ConsulConfigError(
      `invalid ${name}: a certificate in ${place} cannot be read (${problem})`,
      { cause: error },
    );
  }
  return text;
}

/** Of each file in the folder, and in those below it. */
function certificatesBelow(folder: Setting<string>): readonly string[] {
  const files = attemptAt(folder.name, folder.value, () =>
    readdirSync(folder.value, { recursive: true, encoding: "utf8" })
      .map((name) => join(folder.value, name))
      .filter((path) => statSync(path).isFile())
      .sort(),
  );
  if (files.length === 0) {
    throw new ConsulConfigError(`invalid ${folder.name}: there is no file in ${folder.value}`);
  }
  return files.map((file) => certificatesIn(folder, file));
}

/** @throws ConsulConfigError for a key that cannot be read, or is that of another certificate. */
function requirePair(cert: Setting<string>, certificate: string, key: Setting<string>): string {
  const text = readText(key);
  let isPair: boolean;
  try {
    isPair = new X509Certificate(certificate).checkPrivateKey(createPrivateKey(text));
  } catch (error) {
    // Of a key that cannot be read OpenSSL says no more than that.
    const problem = error instanceof Error ? error.message : String(error);
    throw new ConsulConfigError(`invalid ${key.name}: ${key.value} is no key in PEM (${problem})`, {
      cause: error,
    });
  }
  if (isPair) return text;
  throw new ConsulConfigError(
    `invalid ${cert.name}, ${key.name}: the key is not that of the certificate`,
  );
}
