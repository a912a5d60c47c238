import { fork, type ChildProcess } from "node:child_process";
import { join } from "node:path";

import { LogTail } from "../../test/harness/log-tail.js";
import { SilentProxy } from "../../test/harness/silent-proxy.js";
import { machineNow } from "./machine-clock.js";
import type { Act } from "./plot.js";
import { reportSchema, type Order } from "./worker-messages.js";
import type { TimelineEvent } from "./view/timeline.js";

const PROGRAM = join(import.meta.dirname, "worker-process.ts");

/** How long a worker may take to give back its slot and leave. */
const LEAVE_WITHIN_MS = 3_000;

/** The demo's end of a worker process. */
export class Worker {
  readonly name: string;
  /** Resolves when the process can start; rejects if it ends before. */
  readonly ready: Promise<void>;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  readonly #process: ChildProcess;
  readonly #log = new LogTail();
  readonly #tell: (event: TimelineEvent) => void;
  /** Its way to Consul. */
  #network: SilentProxy | undefined;
  #endExpected = false;
  #killed = false;

  /** `tell` is told what happens to the worker, on the clock of `machineNow`. */
  constructor(name: string, tell: (event: TimelineEvent) => void) {
    this.name = name;
    this.#tell = tell;
    this.#process = fork(PROGRAM, {
      // Not what this process itself was started with: that may be meant for it alone.
      execArgv: ["--import", import.meta.resolve("tsx")],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    if (this.#process.stderr !== null) this.#log.follow(this.#process.stderr);
    this.ended = new Promise((resolve) => {
      this.#process.once("close", (code) => {
        this.#tellEnd(code);
        resolve();
      });
    });
    this.ready = new Promise((resolve, reject) => {
      this.#process.on("message", (message) => {
        const report = reportSchema.parse(message);
        if (report.type === "is ready") {
          resolve();
          return;
        }
        if (report.type === "fails") this.#endExpected = true;
        tell({ ...report, worker: name });
      });
      void this.ended.then(() => {
        reject(new Error(`${name} ended before it began. ${String(this.#log)}`));
      });
    });
    // Whoever does not wait for it any more need not hear of it.
    this.ready.catch(() => undefined);
  }

  async connect(consulAddress: string): Promise<void> {
    this.#network = await SilentProxy.start(consulAddress);
  }

  start(): void {
    const address = this.#network?.address;
    if (address === undefined) throw new Error(`${this.name} is not connected`);
    this.#order({ type: "start", worker: this.name, address });
  }

  befall(act: Act): void {
    if (act === "lingers") {
      this.#order({ type: "linger" });
      return;
    }
    this.#tell({ type: act, worker: this.name, at: machineNow() });
    switch (act) {
      case "goes silent":
        this.#network?.silence();
        return;
      case "is back":
        this.#network?.resume();
        return;
      case "is killed":
        this.#killed = true;
        // As a crash or the kernel would: the process gets no chance to release anything.
        this.#process.kill("SIGKILL");
    }
  }

  /** Resolves when the process has ended: by itself, or else by force. */
  async stop(): Promise<void> {
    this.#endExpected = true;
    this.#network?.resume();
    this.#order({ type: "stop" });
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), LEAVE_WITHIN_MS);
    await this.ended;
    clearTimeout(timer);
    await this.#network?.stop();
    this.#network = undefined;
  }

  #order(order: Order): void {
    // One that has ended meanwhile is told nothing.
    if (this.#process.connected) this.#process.send(order, () => undefined);
  }

  #tellEnd(code: number | null): void {
    const at = machineNow();
    if (this.#killed) return;
    if (this.#endExpected) {
      this.#tell({ type: "leaves", worker: this.name, at });
    } else {
      const problem = `its process ended with code ${String(code)}. ${String(this.#log)}`;
      this.#tell({ type: "fails", worker: this.name, at, problem });
    }
  }
}
