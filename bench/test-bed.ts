import { startAgentProcess } from "../test/harness/agent-process.js";
import type { ConsulBinary } from "../test/harness/consul-binary.js";
import { startCluster } from "../test/harness/start-cluster.js";
import { ConsulCpu } from "./consul-cpu.js";
import type { Bed } from "./scenario.js";

/** A Consul to measure on, with the limits that it has by default. */
export interface TestBed {
  /** As `host:port`. */
  readonly address: string;
  /** Of all its processes, where the system tells. */
  readonly cpu: ConsulCpu | undefined;
  stop(): Promise<void>;
}

export async function startTestBed(bed: Bed, binary: ConsulBinary): Promise<TestBed> {
  const consul =
    bed === "dev"
      ? await startAgentProcess(binary, "")
      : // As HashiCorp advises for production.
        await startCluster({ raftMultiplier: 1 });
  return {
    address: new URL(consul.address).host,
    cpu: await ConsulCpu.ofChildren(),
    stop: () => consul.stop(),
  };
}
