import { access, chmod, copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cachedFolder } from "./cache-folder.js";
import type { ConsulBinary } from "./consul-binary.js";
import { inspectBinary } from "./consul-binary.js";
import { messageOf } from "./error-message.js";
import { executableOnPath } from "./executable-on-path.js";
import type { Finding } from "./first-found.js";
import { runProgram } from "./run-program.js";

// The last release of Debian that has Consul: later ones dropped it.
const suite = "bullseye";

const archiveKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** The binary in Debian's package, downloaded beside the system's own packages: nothing is installed. */
export async function debianPackage(env: NodeJS.ProcessEnv): Promise<Finding<ConsulBinary>> {
  for (const program of ["apt-get", "dpkg-deb"]) {
    if ((await executableOnPath(env, program)) === undefined) {
      return { missing: `without ${program} there is no Debian package` };
    }
  }
  try {
    const folder = await cachedFolder(`debian-${suite}-${process.arch}`, unpackBinary);
    const found = await inspectBinary(join(folder, "consul"));
    return { found, source: `Consul ${found.version}, the binary of Debian's package (${suite})` };
  } catch (error) {
    return { missing: `Debian's package (${suite}) could not be had (${messageOf(error)})` };
  }
}

async function unpackBinary(folder: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), "consul-package-"));
  try {
    // apt downloads as a user of its own when root runs it; that user must get in here.
    await chmod(work, 0o755);
    const archive = await download(work);
    await runProgram("dpkg-deb", ["-x", archive, join(work, "root")], { timeoutMs: 60_000 });
    await copyFile(join(work, "root", "usr", "bin", "consul"), join(folder, "consul"));
    await inspectBinary(join(folder, "consul"));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function download(work: string): Promise<string> {
  const sources = join(work, "sources.list");
  await mkdir(join(work, "lists", "partial"), { recursive: true });
  await mkdir(join(work, "cache", "archives", "partial"), { recursive: true });
  const signedBy = (await isReadable(archiveKeyring)) ? ` [signed-by=${archiveKeyring}]` : "";
  await writeFile(sources, `deb${signedBy} ${await debianMirror()} ${suite} main\n`);
  const settings = [
    `Dir::Etc::SourceList=${sources}`,
    "Dir::Etc::SourceParts=/dev/null",
    `Dir::State::Lists=${join(work, "lists")}`,
    `Dir::Cache=${join(work, "cache")}`,
    "Acquire::Languages=none",
    "Acquire::Retries=2",
  ].flatMap((value) => ["-o", value]);
  // Without Error-Mode, an update that reached nothing would count as done.
  const update = ["-qq", ...settings, "-o", "APT::Update::Error-Mode=any", "update"];
  await runProgram("apt-get", update, { timeoutMs: 120_000 });
  const get = ["-qq", ...settings, "download", "consul"];
  await runProgram("apt-get", get, { timeoutMs: 120_000, cwd: work });
  const archive = (await readdir(work)).find((name) => name.endsWith(".deb"));
  if (archive === undefined) throw new Error("apt-get downloaded no package");
  return join(work, archive);
}

/** The mirror that this machine's apt already uses, so that none need be named here. */
async function debianMirror(): Promise<string> {
  const format = "$(LABEL)|$(REPO_URI)";
  const targets = ["indextargets", "--format", format, "Created-By: Packages"];
  const known = await runProgram("apt-get", targets, { timeoutMs: 30_000 });
  const labelled = /^Debian\|(\S+)$/m.exec(known)?.[1];
  if (labelled !== undefined) return labelled;
  // Before its first update apt knows no labels, only the addresses that it would ask.
  const update = ["update", "--print-uris"];
  const planned = await runProgram("apt-get", update, { timeoutMs: 30_000 });
  const named = /^'(\S+\/debian\/+)dists\//m.exec(planned)?.[1];
  if (named === undefined) throw new Error("apt's settings here name no mirror of Debian");
  return named;
}

async function isReadable(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
