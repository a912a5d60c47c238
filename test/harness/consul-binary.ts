import { resolve } from "node:path";
import { messageOf } from "./error-message.js";
import { executableOnPath } from "./executable-on-path.js";
import type { Finding } from "./first-found.js";
import { runProgram } from "./run-program.js";
import { setting } from "./setting.js";

/** A `consul` program that was seen to run. */
export interface ConsulBinary {
  readonly kind: "binary";
  readonly path: string;
  readonly version: string;
}

/** Runs the program to see that it is Consul, and which. */
export async function inspectBinary(path: string): Promise<ConsulBinary> {
  const output = await runProgram(path, ["version"], { timeoutMs: 10_000 });
  const version = /^Consul v(\d+\.\d+\.\S+)/m.exec(output)?.[1];
  if (version === undefined) {
    throw new Error(
      `${path} is not Consul: its 'version' printed ${JSON.stringify(output.slice(0, 80))}`,
    );
  }
  return { kind: "binary", path, version };
}

/** The binary that CONSUL_BIN names. */
export async function namedBinary(env: NodeJS.ProcessEnv): Promise<Finding<ConsulBinary>> {
  const path = setting(env, "CONSUL_BIN");
  if (path === undefined) return { missing: "CONSUL_BIN is not set" };
  try {
    const found = await inspectBinary(resolve(path));
    return { found, source: `Consul ${found.version}, the binary ${path} that CONSUL_BIN names` };
  } catch (error) {
    throw new Error(
      `CONSUL_BIN is ${JSON.stringify(path)}, which does not work: ${messageOf(error)}.` +
        " Set it to the path of a consul binary, or unset it to look elsewhere.",
      { cause: error },
    );
  }
}

/** The `consul` on the PATH; one that does not run is passed over, since nobody asked for it. */
export async function binaryOnPath(env: NodeJS.ProcessEnv): Promise<Finding<ConsulBinary>> {
  const path = await executableOnPath(env, "consul");
  if (path === undefined) return { missing: "no consul on the PATH" };
  try {
    const found = await inspectBinary(path);
    return { found, source: `Consul ${found.version}, the binary ${path} on the PATH` };
  } catch (error) {
    return { missing: `the consul on the PATH does not work (${messageOf(error)})` };
  }
}
