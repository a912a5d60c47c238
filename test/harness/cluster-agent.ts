import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { boundToParent } from "./bound-to-parent.js";
import { clusterFlags } from "./cluster-configuration.js";
import type { ClusterMember, ClusterPlan } from "./cluster-configuration.js";
import type { ConsulBinary } from "./consul-binary.js";
import { LogTail } from "./log-tail.js";
import { leaderOf } from "./running-agent.js";

const listensWithinMs = 30_000;

interface Run {
  readonly child: ChildProcess;
  readonly log: LogTail;
  /** Resolves to how it ended. */
  readonly end: Promise<string>;
  suspended: boolean;
}

/**
 * One agent of a cluster, which can be killed and started again as the same one, or suspended as a
 * machine is that hangs.
 */
export class ClusterAgent {
  readonly address: string;
  readonly #binary: ConsulBinary;
  readonly #member: ClusterMember;
  readonly #plan: ClusterPlan;
  #run: Run | undefined;

  constructor(binary: ConsulBinary, member: ClusterMember, plan: ClusterPlan) {
    this.address = `http://127.0.0.1:${member.ports.http}`;
    this.#binary = binary;
    this.#member = member;
    this.#plan = plan;
  }

  get node(): string {
    return this.#member.node;
  }

  get role(): ClusterMember["role"] {
    return this.#member.role;
  }

  /** Where the other servers find it, which is also how they name it as their leader. */
  get rpcAddress(): string {
    return `127.0.0.1:${this.#member.ports.server}`;
  }

  /** Whether it is there to answer: neither killed nor suspended. */
  get running(): boolean {
    return this.#run !== undefined && !this.#run.suspended;
  }

  /** The last that it logged, for messages of failure. */
  get log(): string {
    return this.#run === undefined ? "It does not run." : String(this.#run.log);
  }

  /** Starts it, with the data and the ports that it has had before, and waits until it answers. */
  async start(): Promise<void> {
    const giveUp = AbortSignal.timeout(listensWithinMs);
    for (;;) {
      if (this.#run !== undefined) throw new Error(`${this.node} runs already`);
      const run = await this.#launch();
      const failure = await Promise.race([run.end, this.#answers(giveUp)]);
      if (failure === undefined) return;
      await this.kill();
      // A port that was its own may have become the local end of somebody's connection meanwhile.
      const taken = /address already in use/i.test(String(run.log));
      if (!taken || giveUp.aborted) {
        throw new Error(`${this.node} would not start: ${failure}. ${String(run.log)}`);
      }
      await pause(200);
    }
  }

  /** Ends it in the middle of whatever it does (SIGKILL), and waits until it is gone. */
  async kill(): Promise<void> {
    this.#run?.child.kill("SIGKILL");
    await this.#run?.end;
  }

  /** Has it leave the cluster, which forgets its node then, and waits until it is gone. */
  async leave(): Promise<void> {
    const end = this.#run?.end;
    const { ok } = await fetch(`${this.address}/v1/agent/leave`, { method: "PUT" });
    if (!ok) throw new Error(`${this.node} did not leave. ${this.log}`);
    await end;
  }

  /** Lets it hang (SIGSTOP): its connections stay open, and it says nothing more. */
  suspend(): void {
    this.#signal("SIGSTOP", true);
  }

  /** Lets it go on where it was (SIGCONT). */
  resume(): void {
    this.#signal("SIGCONT", false);
  }

  /** Whom it takes for the leader, by `rpcAddress`; an empty string for nobody. */
  async leader(): Promise<string> {
    return leaderOf(this.address, AbortSignal.timeout(1_000)).catch(() => "");
  }

  #signal(signal: NodeJS.Signals, suspended: boolean): void {
    if (this.#run === undefined) throw new Error(`${this.node} does not run`);
    this.#run.child.kill(signal);
    this.#run.suspended = suspended;
  }

  async #launch(): Promise<Run> {
    const flags = clusterFlags(this.#binary.version, this.#member, this.#plan);
    const { program, args } = await boundToParent(this.#binary.path, flags);
    // In a process group of its own: Ctrl-C is for us, who then end it.
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    const log = new LogTail();
    log.follow(child.stdout);
    log.follow(child.stderr);
    const killAtExit = () => child.kill("SIGKILL");
    process.on("exit", killAtExit);
    const end = new Promise<string>((resolve) => {
      const finish = (reason: string) => {
        process.off("exit", killAtExit);
        if (this.#run === run) this.#run = undefined;
        resolve(reason);
      };
      child.once("error", (error) => {
        finish(error.message);
      });
      child.once("close", (code, signal) => {
        finish(`it ended with ${signal ?? `code ${String(code)}`}`);
      });
    });
    const run: Run = { child, log, end, suspended: false };
    this.#run = run;
    return run;
  }

  /** Resolves to nothing once it answers requests, or to what is wrong when the signal aborts. */
  async #answers(giveUp: AbortSignal): Promise<string | undefined> {
    while (!giveUp.aborted) {
      const answer = await fetch(`${this.address}/v1/agent/self`, {
        signal: AbortSignal.timeout(1_000),
      }).catch(() => undefined);
      await answer?.body?.cancel();
      if (answer?.ok === true) return undefined;
      await pause(50);
    }
    return `it did not answer within ${listensWithinMs / 1000} s`;
  }
}
