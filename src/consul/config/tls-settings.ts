import { createPrivateKey, X509Certificate } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext } from "node:tls";

import { ConsulConfigError } from "./config-error.js";
import {
  flagOf,
  optionOf,
  setting,
  variableOf,
  type Environment,
  type Setting,
} from "./setting.js";
import { attempt, readText } from "./setting-file.js";

/**
 * The TLS settings for an `https://` address (Go: `TLSConfig`). All are optional. Files are read
 * when the client is created, and again when a connection is opened and they have changed.
 *
 * @example
 * ```ts
 * const tls: ConsulTlsConfig = { caFile: "/etc/consul/ca.pem", serverName: "server.dc1.consul" };
 * const consul = new ConsulClient({ address: "https://10.0.0.7:8501", tls });
 * ```
 */
export interface ConsulTlsConfig {
  /**
   * PEM certificates of the authorities to trust (Go: `CAPem`). Default, if none are set in any
   * other way: those that Node trusts.
   */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  /**
   * A file with such certificates (Go: `CAFile`). Default, if no authorities are set:
   * `CONSUL_CACERT`.
   */
  readonly caFile?: string | undefined;
  /**
   * A folder with files of such certificates (Go: `CAPath`). Default, if no authorities are set,
   * nor `CONSUL_CACERT`: `CONSUL_CAPATH`.
   */
  readonly caPath?: string | undefined;
  /**
   * A file with the client's certificate, in PEM (Go: `CertFile`). It requires a key. Default:
   * `CONSUL_CLIENT_CERT`.
   */
  readonly certFile?: string | undefined;
  /**
   * A file with the key of that certificate, in PEM (Go: `KeyFile`). Default: `CONSUL_CLIENT_KEY`.
   */
  readonly keyFile?: string | undefined;
  /**
   * The name that the server's certificate must have, if it is not the host of the address (Go:
   * `Address`). Default: `CONSUL_TLS_SERVER_NAME`.
   */
  readonly serverName?: string | undefined;
  /**
   * Turns TLS verification off, with a process warning (Go: `InsecureSkipVerify`).
   * Default: the opposite of `CONSUL_HTTP_SSL_VERIFY`, or else `false`.
   */
  readonly insecureSkipVerify?: boolean | undefined;
}

/** The TLS settings, with the files that are still to be read. */
export interface TlsSources {
  /** Authorities that were given as they are. */
  readonly ca: readonly string[];
  readonly caFile: Setting | undefined;
  readonly caPath: Setting | undefined;
  readonly certFile: Setting | undefined;
  readonly keyFile: Setting | undefined;
  readonly serverName: string | undefined;
  readonly insecureSkipVerify: boolean;
}

/** What the files contain. */
export interface TlsIdentity {
  readonly ca: readonly string[] | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

const PEM_CERTIFICATES = /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs;

/** @throws ConsulConfigError */
export function locateTls(config: ConsulTlsConfig, env: Environment): TlsSources {
  const certFile = setting("tls.certFile", config.certFile, "CONSUL_CLIENT_CERT", env);
  const keyFile = setting("tls.keyFile", config.keyFile, "CONSUL_CLIENT_KEY", env);
  requireBoth(certFile, keyFile);
  return {
    ...locateAuthorities(config, env),
    ...{ certFile, keyFile },
    serverName: setting("tls.serverName", config.serverName, "CONSUL_TLS_SERVER_NAME", env)?.value,
    insecureSkipVerify:
      config.insecureSkipVerify ?? flagOf("CONSUL_HTTP_SSL_VERIFY", env) === false,
  };
}

/**
 * Reads and checks the files, so that a problem is reported now and not by the next handshake.
 *
 * @throws ConsulConfigError
 */
export function readIdentity({ ca, caFile, caPath, certFile, keyFile }: TlsSources): TlsIdentity {
  const authorities = [
    ...ca,
    ...(caFile === undefined ? [] : [certificatesIn(caFile)]),
    ...(caPath === undefined ? [] : certificatesBelow(caPath)),
  ];
  const cert = certFile && certificatesIn(certFile);
  const key =
    certFile && cert !== undefined && keyFile ? requirePair(certFile, cert, keyFile) : undefined;
  return { ca: authorities.length === 0 ? undefined : authorities, cert, key };
}

function requireBoth(cert: Setting | undefined, key: Setting | undefined): void {
  if (cert !== undefined && key === undefined) {
    throw new ConsulConfigError(
      `${cert.name} requires the key of the certificate: set tls.keyFile or CONSUL_CLIENT_KEY too`,
    );
  }
  if (key !== undefined && cert === undefined) {
    throw new ConsulConfigError(
      `${key.name} requires the certificate of the key: set tls.certFile or CONSUL_CLIENT_CERT too`,
    );
  }
}

/** Authorities in the environment count only if the options have none. */
function locateAuthorities(
  { ca, caFile, caPath }: ConsulTlsConfig,
  env: Environment,
): Pick<TlsSources, "ca" | "caFile" | "caPath"> {
  if (ca !== undefined || caFile !== undefined || caPath !== undefined) {
    return {
      ca: givenAuthorities(ca),
      caFile: optionOf("tls.caFile", caFile),
      caPath: optionOf("tls.caPath", caPath),
    };
  }
  const file = variableOf("CONSUL_CACERT", env);
  const folder = file === undefined ? variableOf("CONSUL_CAPATH", env) : undefined;
  return { ca: [], caFile: file, caPath: folder };
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

/** @param file default: the one that the setting names */
function certificatesIn({ name, value, from }: Setting, file = value): string {
  return checkedCertificates(readText({ name, value: file, from }), name, file);
}

function checkedCertificates(text: string, name: string, source: string): string {
  const certificates = text.match(PEM_CERTIFICATES) ?? [];
  if (certificates.length === 0) {
    throw new ConsulConfigError(`invalid ${name}: ${source} contains no PEM certificate`);
  }
  attempt(name, `a certificate in ${source} cannot be read`, () => {
    for (const certificate of certificates) new X509Certificate(certificate);
  });
  return text;
}

/** The certificates in all files of a folder and its subfolders. */
function certificatesBelow(folder: Setting): readonly string[] {
  const files = attempt(folder.name, `${folder.value} cannot be read`, () =>
    readdirSync(folder.value, { recursive: true, encoding: "utf8" })
      .map((name) => join(folder.value, name))
      .filter((path) => statSync(path).isFile())
      .sort(),
  );
  if (files.length === 0) {
    throw new ConsulConfigError(`invalid ${folder.name}: ${folder.value} contains no file`);
  }
  return files.map((file) => certificatesIn(folder, file));
}

/** @throws ConsulConfigError for a key that is invalid, weak, or not that of the certificate */
function requirePair(cert: Setting, certificate: string, key: Setting): string {
  const text = readText(key);
  // OpenSSL's message does not say more about an invalid key.
  const isPair = attempt(key.name, `${key.value} is not a PEM key`, () =>
    new X509Certificate(certificate).checkPrivateKey(createPrivateKey(text)),
  );
  const names = `${cert.name}, ${key.name}`;
  if (!isPair) {
    throw new ConsulConfigError(`invalid ${names}: the key does not match the certificate`);
  }
  attempt(names, "OpenSSL refuses the certificate", () =>
    // Without authorities: Node's take long to load.
    createSecureContext({ cert: certificate, key: text, ca: [] }),
  );
  return text;
}
