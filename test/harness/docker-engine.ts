import type { ContainerRuntimeClient } from "testcontainers";
import { withinTimeLimit } from "./time-limit.js";

/** The Docker engine that testcontainers finds (DOCKER_HOST or the usual sockets), if it answers. */
export async function dockerEngine(): Promise<ContainerRuntimeClient | undefined> {
  // Loaded only here: it is large, and most runs end before they need it.
  const { getContainerRuntimeClient } = await import("testcontainers");
  try {
    return await withinTimeLimit(getContainerRuntimeClient(), 15_000, "finding a Docker engine");
  } catch {
    return undefined;
  }
}
