import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { ContainerRuntimeClient } from "testcontainers";
import { cachedFolder } from "./cache-folder.js";
import type { ConsulBinary } from "./consul-binary.js";
import { inspectBinary } from "./consul-binary.js";
import { imageName } from "./container-image.js";
import { dockerEngine } from "./docker-engine.js";
import { messageOf } from "./error-message.js";
import type { Finding } from "./first-found.js";
import { withinTimeLimit } from "./time-limit.js";

/** The binary inside an image that the Docker engine already has, copied into the cache. */
export async function binaryInImage(env: NodeJS.ProcessEnv): Promise<Finding<ConsulBinary>> {
  if (process.platform !== "linux") {
    return { missing: `the binary in an image is for Linux, and this is ${process.platform}` };
  }
  const engine = await dockerEngine();
  if (engine === undefined) return { missing: "no Docker engine answers" };
  const name = imageName(env);
  try {
    const { ImageName } = await import("testcontainers");
    const image = ImageName.fromString(name);
    if (!(await engine.image.exists(image))) {
      return { missing: `the Docker engine does not have ${name}` };
    }
    const { Id: id } = await engine.image.inspect(image);
    const folder = await cachedFolder(`image-${id.replace(/^sha256:/, "").slice(0, 12)}`, (draft) =>
      withinTimeLimit(copyBinary(engine, name, draft), 60_000, `the copy out of ${name}`),
    );
    const found = await inspectBinary(join(folder, "consul"));
    return { found, source: `Consul ${found.version}, the binary in the image ${name}` };
  } catch (error) {
    return { missing: `the binary in the image ${name} does not serve (${messageOf(error)})` };
  }
}

async function copyBinary(
  engine: ContainerRuntimeClient,
  image: string,
  folder: string,
): Promise<void> {
  // A container that is never started suffices to read its files.
  const container = await engine.container.create({ Image: image });
  try {
    const archive = await engine.container.fetchArchive(container, "/bin/consul");
    const tar = spawn("tar", ["-x", "-C", folder], { stdio: ["pipe", "ignore", "ignore"] });
    const ended = once(tar, "close");
    await pipeline(archive, tar.stdin);
    await ended;
    if (tar.exitCode !== 0) throw new Error(`tar ended with code ${String(tar.exitCode)}`);
  } finally {
    await engine.container.remove(container);
  }
}
