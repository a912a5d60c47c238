import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

import { inject, onTestFinished, vi } from "vitest";

/**
 * How long to wait for what has to come: it is there in seconds, but for a start of many processes
 * on a busy machine.
 */
export const PATIENCE_MS = 150_000;

vi.setConfig({ testTimeout: PATIENCE_MS + 30_000 });

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** All that it wrote, in lines. */
  readonly lines: readonly string[];
}

/** Variables of its environment. */
export type Settings = Readonly<Record<string, string>>;

/** For `node`: a program of this repository, by its path there. */
export function sourceProgram(path: string): readonly string[] {
  // What Node deprecates in the loader is no fault of the program's.
  return ["--no-deprecation", "--import", "tsx", path];
}

/** A program in a process of its own, killed with the test. */
export class ProgramProcess {
  /** Resolves when it has ended and all its output is here. */
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: string[] = [];
  readonly #wanted = new Set<() => void>();

  constructor(program: string, args: readonly string[], settings: Settings = {}) {
    this.#child = spawn(program, args, {
      cwd: join(import.meta.dirname, "..", ".."),
      env: { ...process.env, CONSUL_HTTP_ADDR: inject("consulAddress"), ...settings },
    });
    this.#follow(this.#child.stdout);
    this.#follow(this.#child.stderr);
    this.ended = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("close", (code, signal) => {
        resolve({ code, signal, lines: this.#lines });
      });
    });
    onTestFinished(async () => {
      this.#child.kill("SIGKILL");
      await this.ended;
    });
  }

  /** How many lines it has written. */
  get lineCount(): number {
    return this.#lines.length;
  }

  /**
   * Resolves once it has written such a line; rejects if it ends without.
   *
   * @param from how many of the first lines don't count
   */
  async line(pattern: RegExp, from = 0): Promise<string> {
    const find = (lines: readonly string[]): string | undefined =>
      lines.slice(from).find((candidate) => pattern.test(candidate));
    const written = new Promise<string>((resolve) => {
      const look = (): void => {
        const line = find(this.#lines);
        if (line === undefined) return;
        this.#wanted.delete(look);
        resolve(line);
      };
      this.#wanted.add(look);
      look();
    });
    const never = this.ended.then(({ code, lines }) => {
      const line = find(lines);
      if (line !== undefined) return line;
      throw new Error(`ended with ${String(code)}, no ${String(pattern)}:\n${lines.join("\n")}`);
    });
    return await Promise.race([written, never]);
  }

  write(text: string): void {
    this.#child.stdin.write(text);
  }

  endInput(): void {
    this.#child.stdin.end();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #follow(stream: Readable): void {
    createInterface({ input: stream }).on("line", (line) => {
      this.#lines.push(line);
      for (const look of [...this.#wanted]) look();
    });
  }
}
