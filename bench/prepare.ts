import type { ConsulBinary } from "../test/harness/consul-binary.js";
import { locateBinary } from "../test/harness/locate-consul.js";
import { buildGoOriginal, type GoOriginal } from "./go-original.js";
import { describeMachine, type Machine } from "./machine.js";
import { buildNodePrograms, type NodePrograms } from "./node-programs.js";

export interface Prepared {
  readonly binary: ConsulBinary;
  readonly programs: NodePrograms;
  readonly original: GoOriginal;
  readonly machine: Machine;
}

/** Finds Consul, builds all programs, and prints what there is. */
export async function prepare({ withGo = true } = {}): Promise<Prepared> {
  const { found: binary, source } = await locateBinary();
  console.log(`On ${source}`);
  console.log("Building the programs…");
  const [programs, original] = await Promise.all([
    buildNodePrograms(),
    withGo ? buildGoOriginal() : { missing: "not asked for" },
  ]);
  const go = "program" in original ? original.goVersion : `none: ${original.missing}`;
  const machine = describeMachine(binary.version, go);
  console.log(
    `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, Consul ${machine.consul}`,
  );
  console.log("program" in original ? `Go original: ${go}` : `Without the Go original, ${go}`);
  return { binary, programs, original, machine };
}
