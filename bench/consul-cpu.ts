import { readdir, readFile } from "node:fs/promises";

import { runProgram } from "../test/harness/run-program.js";

/** The CPU time of the Consul processes that this process has started. */
export class ConsulCpu {
  readonly #pids: readonly string[];
  readonly #ticksPerSecond: number;

  private constructor(pids: readonly string[], ticksPerSecond: number) {
    this.#pids = pids;
    this.#ticksPerSecond = ticksPerSecond;
  }

  /** Of those that run now; nothing on a system that does not tell. */
  static async ofChildren(): Promise<ConsulCpu | undefined> {
    if (process.platform !== "linux") return undefined;
    const pids: string[] = [];
    for (const pid of await readdir("/proc")) {
      const { name, parent } = await statOf(pid);
      if (name === "consul" && parent === process.pid) pids.push(pid);
    }
    const ticksPerSecond = await runProgram("getconf", ["CLK_TCK"], { timeoutMs: 5_000 });
    return new ConsulCpu(pids, Number(ticksPerSecond));
  }

  /** What they have taken so far, in ms. */
  async taken(): Promise<number> {
    const all = await Promise.all(this.#pids.map(statOf));
    return (all.reduce((sum, { ticks }) => sum + ticks, 0) * 1_000) / this.#ticksPerSecond;
  }
}

async function statOf(pid: string): Promise<{ name?: string; parent: number; ticks: number }> {
  // What is no process, or has ended since the folder was listed, has no such file.
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const [, name = "", rest = ""] = /^\d+ \((.*)\) (.*)$/s.exec(stat) ?? [];
  const fields = rest.split(" ");
  return { name, parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) };
}
