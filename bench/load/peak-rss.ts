import { readFile } from "node:fs/promises";

/** The most memory that this process has had. */
export async function peakRssBytes(): Promise<number> {
  // Of Linux's two figures, that of getrusage begins with what the process had that started this one.
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  const kilobytes = /^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1];
  return 1024 * (kilobytes === undefined ? process.resourceUsage().maxRSS : Number(kilobytes));
}
