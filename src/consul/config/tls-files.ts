import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

import { callAfter } from "../../async/call-after.js";
import type { Environment } from "./setting.js";
import {
  locateTls,
  readIdentity,
  type ConsulTlsConfig,
  type TlsIdentity,
  type TlsSources,
} from "./tls-settings.js";

/**
 * The longest that a connection waits to learn whether the files have changed, in milliseconds. The
 * disk, or all threads that could ask it, may be busy, and a renewal has little time.
 */
const LONGEST_CHECK_MS = 250;

/**
 * The certificates and the key of a client, which may be rotated on disk. They are looked at before
 * each connection; nothing watches them.
 */
export class TlsFiles {
  readonly #sources: TlsSources;
  #identity: TlsIdentity;
  #readAt = new Date();
  /** Of the files as they were when last read. */
  #version: string | undefined;
  /** Why what is there now is not used. */
  #problem: string | undefined;
  #check: Promise<void> | undefined;

  /** @throws ConsulConfigError for files that are missing, invalid, or do not belong together */
  constructor(config: ConsulTlsConfig, env: Environment) {
    this.#sources = locateTls(config, env);
    this.#identity = readIdentity(this.#sources);
  }

  get serverName(): string | undefined {
    return this.#sources.serverName;
  }

  get insecureSkipVerify(): boolean {
    return this.#sources.insecureSkipVerify;
  }

  /** Which files are in use, since when, and why no later ones are; empty where there are none. */
  get description(): string {
    const { caFile, caPath, certFile, keyFile } = this.#sources;
    const files = [caFile, caPath, certFile, keyFile].flatMap((file) => (file ? [file] : []));
    if (files.length === 0) return "";
    const list = files.map(({ name, value }) => `${name} ${value}`).join(", ");
    const later = this.#problem === undefined ? "" : `; not as they are now: ${this.#problem}`;
    return `in use: ${list}, as read at ${this.#readAt.toISOString()}${later}`;
  }

  /**
   * The last that was valid. Files are read again if they have changed. While they cannot be used,
   * such as a certificate whose key is still to be written, each call tries again.
   */
  async current(): Promise<TlsIdentity> {
    this.#check ??= new Promise((resolve) => {
      const off = callAfter(LONGEST_CHECK_MS, resolve);
      // One check at a time: those of a disk that hangs would occupy all threads.
      void this.#readIfChanged().finally(() => {
        off();
        this.#check = undefined;
        resolve();
      });
    });
    await this.#check;
    return this.#identity;
  }

  async #readIfChanged(): Promise<void> {
    try {
      const version = await versionOf(this.#sources);
      if (version !== this.#version) {
        // Not asynchronously: it is rare and short, and the constructor has to read so anyway.
        this.#identity = readIdentity(this.#sources);
        this.#version = version;
        this.#readAt = new Date();
      }
      this.#problem = undefined;
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error);
      this.#version = undefined;
    }
  }
}

/** Changes with the content of a file, also where a copy has the time or the size of another. */
async function versionOf({ caFile, caPath, certFile, keyFile }: TlsSources): Promise<string> {
  const files = [caFile, certFile, keyFile].flatMap((file) => (file ? [file.value] : []));
  if (caPath !== undefined) {
    const names = await readdir(caPath.value, { recursive: true, encoding: "utf8" });
    files.push(...names.map((name) => join(caPath.value, name)));
  }
  const versions = files.map(async (file) => {
    const found = await stat(file);
    // To read a pipe again may block for good.
    if (!found.isFile() && !found.isDirectory()) throw new Error(`${file} is no regular file`);
    return `${file}:${found.ino}:${found.size}:${found.ctimeMs}`;
  });
  return (await Promise.all(versions)).join();
}
