import { once } from "node:events";
import { createInterface } from "node:readline";

/** Says "ready", and resolves to when to start, in ms since 1970. */
export async function orderToStart(): Promise<number> {
  const lines = createInterface(process.stdin);
  // Without the benchmark there is nobody to report to.
  lines.once("close", () => process.exit(1));
  process.stdout.write("ready\n");
  const line: unknown = (await once(lines, "line"))[0];
  return Number(line);
}
