import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

const projectCache = join(import.meta.dirname, "..", "..", ".cache", "consul");

const draftMark = ".draft-";

// No fill takes nearly as long, so a draft of this age was left by a run that was cut off.
const abandonedAfterMs = 60 * 60 * 1000;

/**
 * A folder that is made once and then kept. It is filled under another name and renamed when
 * complete, so an interrupted fill is never taken for a whole one, and of two processes that fill
 * it at once the later one takes what the earlier one made.
 */
export async function cachedFolder(
  name: string,
  fill: (draft: string) => Promise<void>,
  cache: string = projectCache,
): Promise<string> {
  const folder = join(cache, name);
  if (await exists(folder)) return folder;
  await mkdir(cache, { recursive: true });
  await removeAbandonedDrafts(folder);
  const draft = await mkdtemp(folder + draftMark);
  try {
    await chmod(draft, 0o755);
    await fill(draft);
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (!(await exists(folder))) throw error;
  }
  return folder;
}

async function removeAbandonedDrafts(folder: string): Promise<void> {
  for (const entry of await readdir(dirname(folder))) {
    if (!entry.startsWith(basename(folder) + draftMark)) continue;
    const draft = join(dirname(folder), entry);
    const made = await stat(draft).catch(() => undefined);
    if (made !== undefined && Date.now() - made.mtimeMs > abandonedAfterMs) {
      await rm(draft, { recursive: true, force: true });
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
