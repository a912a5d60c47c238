import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A write came from a holder that another one has overtaken. */
export class StaleTokenError extends Error {
  override readonly name = "StaleTokenError";

  constructor(token: bigint, newest: bigint) {
    super(`token ${token} is stale: ${newest} was here`);
  }
}

/**
 * A text that only the latest holder of a slot can change, whoever else writes, and however late.
 *
 * It is a folder with a file for each token, of which the greatest counts. To look at the tokens and
 * then overwrite one file would leave a gap between the two; a stale holder that falls into it here
 * writes a file that nobody reads.
 */
export class FencedFile {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<FencedFile> {
    await mkdir(folder, { recursive: true });
    return new FencedFile(folder);
  }

  async read(): Promise<string | undefined> {
    for (;;) {
      const newest = (await this.#tokens()).at(-1);
      if (newest === undefined) return undefined;
      try {
        return await readFile(this.#path(newest), "utf8");
      } catch (error) {
        // Overtaken and cleared away since we looked.
        if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
      }
    }
  }

  /** @throws StaleTokenError */
  async write(text: string, token: bigint): Promise<void> {
    await this.#refuseStale(token);
    const draft = join(this.#folder, `${randomUUID()}.draft`);
    try {
      await writeFile(draft, text, { flush: true });
      // At once and as a whole, so that no reader finds half of it.
      await rename(draft, this.#path(token));
    } finally {
      await rm(draft, { force: true });
    }
    const older = (await this.#tokens()).filter((other) => other < token);
    await Promise.all(older.map((other) => rm(this.#path(other), { force: true })));
    await this.#refuseStale(token);
  }

  async #refuseStale(token: bigint): Promise<void> {
    const newest = (await this.#tokens()).at(-1);
    if (newest === undefined || newest <= token) return;
    await rm(this.#path(token), { force: true });
    throw new StaleTokenError(token, newest);
  }

  #path(token: bigint): string {
    return join(this.#folder, `${token}.txt`);
  }

  async #tokens(): Promise<bigint[]> {
    const names = await readdir(this.#folder);
    const tokens = names.flatMap((name) => /^(\d+)\.txt$/.exec(name)?.[1] ?? []).map(BigInt);
    return tokens.sort((one, other) => (one < other ? -1 : 1));
  }
}
