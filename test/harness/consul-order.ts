import type { ConsulBinary } from "./consul-binary.js";
import { firstFound } from "./first-found.js";
import type { FirstFound, Probe } from "./first-found.js";

/** An agent that somebody else runs. */
export interface RunningAgent {
  readonly kind: "agent";
  readonly address: string;
}

/** An image that the Docker engine has. */
export interface ConsulImage {
  readonly kind: "image";
  readonly name: string;
}

export type ConsulPlace = RunningAgent | ConsulImage | ConsulBinary;

/** The places to look, given from outside so that their order can be tested without any of them. */
export interface ConsulProbes {
  readonly runningAgent: Probe<RunningAgent>;
  readonly namedBinary: Probe<ConsulBinary>;
  readonly containerImage: Probe<ConsulImage>;
  readonly binaryOnPath: Probe<ConsulBinary>;
  readonly binaryInImage: Probe<ConsulBinary>;
  readonly debianPackage: Probe<ConsulBinary>;
}

/** Chooses what to test against; with `own`, only what can be started with settings of its own. */
export function chooseConsul(probes: ConsulProbes, own: boolean): Promise<FirstFound<ConsulPlace>> {
  const startable: Probe<ConsulPlace>[] = [
    probes.namedBinary,
    probes.containerImage,
    probes.binaryOnPath,
    probes.debianPackage,
  ];
  return firstFound(
    own ? startable : [probes.runningAgent, ...startable],
    (own ? "Set" : "Set CONSUL_HTTP_ADDR to the address of a running agent or") +
      " CONSUL_BIN to the path of a consul binary, start a Docker engine that can have the image" +
      " (CONSUL_IMAGE names another), or put consul on the PATH.",
  );
}

/** Chooses a binary for the tests that run a `consul` command. */
export function chooseBinary(probes: ConsulProbes): Promise<FirstFound<ConsulBinary>> {
  return firstFound(
    [probes.namedBinary, probes.binaryOnPath, probes.binaryInImage, probes.debianPackage],
    "Set CONSUL_BIN to the path of a consul binary, or put consul on the PATH.",
  );
}
