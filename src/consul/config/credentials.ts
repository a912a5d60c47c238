import { readFile } from "node:fs/promises";

import { inSharedContext } from "../../async/shared-context.js";
import { ConsulConfigError } from "./config-error.js";
import { Secrets } from "./secrets.js";
import { setting, variableOf, type Environment, type Setting } from "./setting.js";
import { readText } from "./setting-file.js";

/**
 * A user name and a password, for a proxy that requires them (Go: `HttpBasicAuth`).
 *
 * @example
 * ```ts
 * const httpAuth: HttpBasicAuth = { username: "resizer", password: "…" };
 * ```
 */
export interface HttpBasicAuth {
  /** Must not contain a colon. */
  readonly username: string;
  /** Default: an empty one. */
  readonly password?: string | undefined;
}

export interface CredentialOptions {
  readonly token?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly httpAuth?: string | HttpBasicAuth | undefined;
}

/** The credentials that are sent with each request, and that no error contains. */
export class Credentials {
  readonly #secrets = new Secrets();
  readonly #tokenFile: Setting | undefined;
  readonly #authorization: string | undefined;
  #token: string | undefined;
  #reading: Promise<void> | undefined;

  /** @throws ConsulConfigError */
  constructor(options: CredentialOptions, env: Environment) {
    this.#tokenFile = tokenFileOf(options, env);
    this.#token =
      this.#tokenFile === undefined ? givenToken(options, env) : readToken(this.#tokenFile);
    this.#secrets.add(this.#token ?? "");
    this.#authorization = this.#authorizationOf(options, env);
  }

  /** The headers that a request carries. */
  get headers(): Record<string, string> {
    return {
      ...(this.#token === undefined ? {} : { "x-consul-token": this.#token }),
      ...(this.#authorization === undefined ? {} : { authorization: this.#authorization }),
    };
  }

  /** Whether there is a token. */
  get hasToken(): boolean {
    return this.#token !== undefined;
  }

  /** All secrets so far: a rotated token may still be valid. */
  get secrets(): Secrets {
    return this.#secrets;
  }

  /**
   * Reads the token file again, if there is one, since the token may have been rotated. Resolves to
   * whether the token is now another than the one in `before`, the headers of a request.
   */
  async renew(before: Readonly<Record<string, string>>): Promise<boolean> {
    if (this.#tokenFile === undefined) return false;
    const { value: file } = this.#tokenFile;
    // One read at a time: those of a disk that hangs would occupy all threads.
    this.#reading ??= inSharedContext(() => this.#read(file)).finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
    return this.#token !== before["x-consul-token"];
  }

  async #read(tokenFile: string): Promise<void> {
    const text = await readFile(tokenFile, "utf8").catch(() => "");
    const token = text.trim();
    // A missing or half-written file keeps the old token.
    if (token === "" || !isToken(token)) return;
    this.#secrets.add(token);
    this.#token = token;
  }

  #authorizationOf({ httpAuth }: CredentialOptions, env: Environment): string | undefined {
    const given = httpAuth ?? variableOf("CONSUL_HTTP_AUTH", env)?.value;
    if (given === undefined || given === "") return undefined;
    const { username, password = "" } =
      typeof given === "string" ? splitUserAndPassword(given) : given;
    if (username.includes(":")) {
      throw new ConsulConfigError("invalid httpAuth: a user name cannot contain a colon");
    }
    const pair = `${username}:${password}`;
    if (!pair.isWellFormed()) {
      throw new ConsulConfigError("invalid httpAuth: it contains an unpaired surrogate");
    }
    this.#secrets.add(password);
    this.#secrets.add(pair);
    return `Basic ${Buffer.from(pair).toString("base64")}`;
  }
}

/** The file to read the token from. As in Go, it takes precedence over a token. */
function tokenFileOf(
  { token, tokenFile }: CredentialOptions,
  env: Environment,
): Setting | undefined {
  if (tokenFile === undefined && token !== undefined) return undefined;
  return setting("tokenFile", tokenFile, "CONSUL_HTTP_TOKEN_FILE", env);
}

function givenToken({ token }: CredentialOptions, env: Environment): string | undefined {
  const given = setting("token", token, "CONSUL_HTTP_TOKEN", env);
  // An empty option overrides the environment with no token.
  if (given === undefined || given.value === "") return undefined;
  if (isToken(given.value)) return given.value;
  throw new ConsulConfigError(
    `invalid ${given.name}: it contains a space, a line break or another character that a token cannot contain`,
  );
}

function readToken(setting: Setting): string {
  const { name, value: file } = setting;
  const token = readText(setting).trim();
  if (token === "") throw new ConsulConfigError(`invalid ${name}: ${file} contains no token`);
  if (isToken(token)) return token;
  throw new ConsulConfigError(
    `invalid ${name}: the token in ${file} contains a space, a line break or another character that ` +
      `a token cannot contain`,
  );
}

function isToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

/** `user:password`; the password may contain colons. */
function splitUserAndPassword(text: string): HttpBasicAuth {
  const colon = text.indexOf(":");
  return colon === -1
    ? { username: text }
    : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}
