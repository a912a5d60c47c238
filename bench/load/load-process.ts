import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import type { ZodType } from "zod";

import { LogTail } from "../../test/harness/log-tail.js";
import type { Program } from "../program.js";
import { loadArguments, type Load } from "./load.js";

/** A process that carries out a load, as the benchmark sees it. */
export class LoadProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: AsyncIterator<string>;
  readonly #log = new LogTail(40);
  readonly #ended: Promise<unknown>;

  constructor({ command, args }: Program, load: Load) {
    this.#child = spawn(command, [...args, ...loadArguments(load)], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    // Told to one that has ended meanwhile; its end says more.
    this.#child.stdin.on("error", () => undefined);
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
    this.#log.follow(this.#child.stderr);
    this.#ended = once(this.#child, "close");
    this.#ended.catch(() => undefined);
  }

  /** Resolves when it can start. */
  async ready(): Promise<void> {
    await this.#line();
  }

  start(startAt: number): void {
    this.#child.stdin.write(`${startAt}\n`);
  }

  /** Resolves to its report; rejects if it ends without one. */
  async report<Report>(schema: ZodType<Report>): Promise<Report> {
    return schema.parse(JSON.parse(await this.#line()));
  }

  /** Ends it, if it has not ended by itself. */
  async end(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  async #line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done !== true) return next.value;
    await this.#ended;
    throw new Error(this.#complaint);
  }

  /** The line of its log that says what is wrong, which Node puts among those of the stack. */
  get #complaint(): string {
    const lines = String(this.#log).split("\n");
    return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1) ?? "";
  }
}
