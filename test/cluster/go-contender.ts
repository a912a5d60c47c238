import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { parseIntervals, type Interval } from "../integration/intervals.js";
import type { Contender } from "./contender.js";

const CHILD = fileURLToPath(
  new URL("../integration/processes/hold-until-terminated-process.mjs", import.meta.url),
);
const HOLD_MS = 100;
/** Without a leader it is refused at once, and one start after another would take all the CPU. */
const PAUSE_AFTER_REFUSAL_MS = 500;

export interface GoContenderOptions {
  /** The `consul` program. */
  readonly cli: string;
  readonly address: string;
  readonly prefix: string;
}

/** The original, turn after turn: `consul lock -n 2` is Go's semaphore. */
export class GoContender implements Contender {
  readonly who = "go";
  readonly turns: Interval[] = [];
  readonly refusals: string[] = [];
  readonly #options: GoContenderOptions;
  readonly #ended: Promise<number | null>;
  #current: ChildProcess | undefined;
  #ending = false;

  constructor(options: GoContenderOptions) {
    this.#options = options;
    this.#ended = this.#loop();
  }

  end(): Promise<number | null> {
    this.#ending = true;
    return this.#ended;
  }

  kill(): void {
    this.#ending = true;
    this.#current?.kill("SIGKILL");
  }

  /** What an election does to a turn of Go's is Go's affair; the next one is what counts. */
  async #loop(): Promise<number | null> {
    for (;;) {
      const code = await this.#takeTurn();
      if (this.#ending && (code === 0 || this.#current?.killed === true)) return code;
      if (code !== 0) await pause(PAUSE_AFTER_REFUSAL_MS);
    }
  }

  async #takeTurn(): Promise<number | null> {
    const { cli, address, prefix } = this.#options;
    const child = spawn(
      cli,
      [
        ...["lock", `-http-addr=${address}`, "-shell=false", "-n=2", "-name=go", prefix],
        ...[process.execPath, CHILD, String(HOLD_MS)],
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#current = child;
    const end = new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    const [code, output, complaints] = await Promise.all([
      end,
      text(child.stdout),
      text(child.stderr),
    ]);
    this.turns.push(...parseIntervals(output.replaceAll(/^(?!go ).*\n?/gm, "")));
    if (code !== 0) this.refusals.push(complaints.trim());
    return code;
  }
}
