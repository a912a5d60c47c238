import { binaryInImage } from "./binary-in-image.js";
import { binaryOnPath, namedBinary } from "./consul-binary.js";
import type { ConsulBinary } from "./consul-binary.js";
import { chooseBinary, chooseConsul } from "./consul-order.js";
import type { ConsulPlace, ConsulProbes } from "./consul-order.js";
import { containerImage } from "./container-image.js";
import { debianPackage } from "./debian-package.js";
import type { FirstFound } from "./first-found.js";
import { runningAgent } from "./running-agent.js";

function probesOf(env: NodeJS.ProcessEnv): ConsulProbes {
  return {
    runningAgent: () => runningAgent(env),
    namedBinary: () => namedBinary(env),
    containerImage: () => containerImage(env),
    binaryOnPath: () => binaryOnPath(env),
    binaryInImage: () => binaryInImage(env),
    debianPackage: () => debianPackage(env),
  };
}

/** Finds a Consul to test against; with `own`, one that can be started with settings of its own. */
export function locateConsul(own = false): Promise<FirstFound<ConsulPlace>> {
  return chooseConsul(probesOf(process.env), own);
}

/** Finds a `consul` program. */
export function locateBinary(): Promise<FirstFound<ConsulBinary>> {
  return chooseBinary(probesOf(process.env));
}
