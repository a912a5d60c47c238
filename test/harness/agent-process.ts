import { spawn } from "node:child_process";
import { processFlags } from "./agent-configuration.js";
import { untilReady } from "./agent-readiness.js";
import { boundToParent } from "./bound-to-parent.js";
import type { ConsulBinary } from "./consul-binary.js";
import { messageOf } from "./error-message.js";
import { freePorts } from "./free-ports.js";
import { LogTail } from "./log-tail.js";
import type { StartedAgent } from "./started-agent.js";

const readyWithinMs = 30_000;
const leaveWithinMs = 5_000;
const attempts = 3;

class PortTaken extends Error {}

export interface AgentOptions {
  /** The token that may make a session, where it takes one to see whether the agent serves. */
  readonly token?: string;
}

/** Starts a dev agent on free ports of the loopback address and waits until it serves. */
export async function startAgentProcess(
  binary: ConsulBinary,
  hcl: string,
  options: AgentOptions = {},
): Promise<StartedAgent> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await launch(binary, hcl, options);
    } catch (error) {
      // Between choosing a free port and listening on it, another program may have taken it.
      if (!(error instanceof PortTaken) || attempt === attempts) throw error;
    }
  }
}

async function launch(
  binary: ConsulBinary,
  hcl: string,
  { token }: AgentOptions,
): Promise<StartedAgent> {
  const [http = 0, server = 0, serfLan = 0] = await freePorts(3);
  const address = `http://127.0.0.1:${http}`;
  const node = `test-agent-${http}`;
  const flags = processFlags(binary.version, node, { http, server, serfLan }, hcl);
  const command = await boundToParent(binary.path, flags);
  const child = spawn(command.program, command.args, {
    stdio: ["ignore", "pipe", "pipe"],
    // In a process group of its own: Ctrl-C is for us, who then stop it when all is cleared away.
    detached: true,
  });

  const log = new LogTail();
  log.follow(child.stdout);
  log.follow(child.stderr);

  const killAtExit = () => child.kill("SIGKILL");
  process.on("exit", killAtExit);
  const ended = new AbortController();
  const end = new Promise<void>((resolve) => {
    const finish = (reason: string) => {
      process.off("exit", killAtExit);
      ended.abort(new Error(reason));
      resolve();
    };
    child.once("error", (error) => {
      finish(error.message);
    });
    // "close" comes after the last of the log, which "exit" may not.
    child.once("close", (code, signal) => {
      finish(`it ended with ${signal ?? `code ${String(code)}`}`);
    });
  });

  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= (async () => {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), leaveWithinMs);
      await end;
      clearTimeout(timer);
    })();
    return stopping;
  };

  try {
    const bound = AbortSignal.timeout(readyWithinMs);
    await untilReady(address, AbortSignal.any([bound, ended.signal]), { node, token });
    return { address, stop };
  } catch (error) {
    const reason = ended.signal.aborted
      ? messageOf(ended.signal.reason)
      : `not ready within ${readyWithinMs / 1000} s: ${messageOf(error)}`;
    await stop();
    const message = `${binary.path} would not serve at ${address}: ${reason}. ${String(log)}`;
    throw /address already in use/i.test(String(log)) ? new PortTaken(message) : new Error(message);
  }
}
