import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";

import type { Program } from "../program.js";
import { proxyMessageSchema, type ProxyMessage, type WireTotal } from "./wire-total.js";

/** The benchmark's end of the counting proxy. */
export class CountingProxy {
  readonly #child: ChildProcess;
  #port = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start({ command, args }: Program, consul: string): Promise<CountingProxy> {
    const child = spawn(command, [...args, consul], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const proxy = new CountingProxy(child);
    const message = await proxy.#hear();
    if (!("port" in message)) throw new Error("the counting proxy does not say where it listens");
    proxy.#port = message.port;
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async total(): Promise<WireTotal> {
    this.#child.send({});
    const message = await this.#hear();
    if (!("total" in message)) throw new Error("the counting proxy did not tell its total");
    return message.total;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "close");
  }

  async #hear(): Promise<ProxyMessage> {
    const ended = new AbortController();
    const endEarly = (): void => {
      ended.abort(new Error("the counting proxy ended"));
    };
    this.#child.once("close", endEarly);
    try {
      const heard = await once(this.#child, "message", { signal: ended.signal });
      return proxyMessageSchema.parse(heard[0]);
    } finally {
      this.#child.off("close", endEarly);
    }
  }
}
