import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

import type { Contender } from "./contender.js";
import { parseNotice, type Turn } from "./turn.js";

export interface NodeContenderOptions {
  readonly who: string;
  readonly address: string;
  readonly prefix: string;
  /** Where it may have a file to itself. */
  readonly folder: string;
}

/** A process of ours that takes turns. */
export class NodeContender implements Contender {
  readonly who: string;
  readonly turns: Turn[] = [];
  readonly refusals: string[] = [];
  readonly #holdFile: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #ended: Promise<number | null>;
  #inside = false;

  constructor({ who, address, prefix, folder }: NodeContenderOptions) {
    this.who = who;
    this.#holdFile = join(folder, who);
    const program = join(import.meta.dirname, "take-turns-process.ts");
    this.#child = spawn(
      process.execPath,
      ["--no-deprecation", "--import", "tsx", program, address, prefix, this.#holdFile],
      {
        cwd: join(import.meta.dirname, "..", ".."),
        stdio: ["pipe", "pipe", "inherit"],
      },
    );
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("close", resolve);
    });
    createInterface(this.#child.stdout).on("line", (line) => {
      this.#hear(line);
    });
  }

  get inside(): boolean {
    return this.#inside;
  }

  /** From its next turn on it stays inside, until it is let go. */
  async hold(): Promise<void> {
    await writeFile(this.#holdFile, "");
  }

  async letGo(): Promise<void> {
    await rm(this.#holdFile, { force: true });
  }

  end(): Promise<number | null> {
    this.#child.kill("SIGTERM");
    return this.#ended;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  #hear(line: string): void {
    const notice = parseNotice(line);
    switch (notice.event) {
      case "entered":
        this.#inside = true;
        break;
      case "turn": {
        this.#inside = false;
        const { entered, left, token, lost } = notice;
        this.turns.push({ who: this.who, entered, left, token, lost });
        break;
      }
      case "refused":
        this.refusals.push(`${notice.call}: ${notice.message}`);
        break;
    }
  }
}
