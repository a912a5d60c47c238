import type { ContainerRuntimeClient } from "testcontainers";
import type { ConsulImage } from "./consul-order.js";
import { dockerEngine } from "./docker-engine.js";
import { messageOf } from "./error-message.js";
import type { Finding } from "./first-found.js";
import { setting } from "./setting.js";
import { withinTimeLimit } from "./time-limit.js";

// Pinned, so that a new release of Consul never turns a run red by itself.
const defaultImage = "hashicorp/consul:1.21.5";

// Short enough to go on to the next place in good time where no registry can be reached.
const pullLimitMs = 60_000;

export function imageName(env: NodeJS.ProcessEnv): string {
  return setting(env, "CONSUL_IMAGE") ?? defaultImage;
}

/** The image of Consul, as the Docker engine has it or can pull it. */
export async function containerImage(env: NodeJS.ProcessEnv): Promise<Finding<ConsulImage>> {
  const engine = await dockerEngine();
  if (engine === undefined) return { missing: "no Docker engine answers" };
  const name = imageName(env);
  try {
    await obtainImage(engine, name);
    await obtainReaper(engine);
  } catch (error) {
    const obstacle = messageOf(error);
    if (setting(env, "CONSUL_IMAGE") === undefined) return { missing: obstacle };
    throw new Error(
      `CONSUL_IMAGE is ${JSON.stringify(name)}, but ${obstacle}.` +
        " Put that right, or unset CONSUL_IMAGE to look elsewhere.",
      { cause: error },
    );
  }
  return { found: { kind: "image", name }, source: `a container of ${name}` };
}

async function obtainImage(engine: ContainerRuntimeClient, name: string): Promise<void> {
  const { ImageName } = await import("testcontainers");
  try {
    const image = ImageName.fromString(name);
    if (await engine.image.exists(image)) return;
    await withinTimeLimit(engine.image.pull(image), pullLimitMs, "the pull");
    // A pull that fails half-way ends like one that succeeds; only the image itself tells.
    if (!(await engine.image.exists(image))) throw new Error("the pull ended without the image");
  } catch (error) {
    throw new Error(`the Docker engine neither has nor could pull ${name} (${messageOf(error)})`, {
      cause: error,
    });
  }
}

/** The helper container that removes ours when this process is killed; it has an image too. */
async function obtainReaper(engine: ContainerRuntimeClient): Promise<void> {
  const { getReaper } = await import("testcontainers");
  try {
    await withinTimeLimit(getReaper(engine), pullLimitMs, "its start");
  } catch (error) {
    throw new Error(
      `the helper of testcontainers would not start (${messageOf(error)};` +
        " TESTCONTAINERS_RYUK_DISABLED=true does without it)",
      { cause: error },
    );
  }
}
