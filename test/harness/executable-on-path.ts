import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { setting } from "./setting.js";

/** The full path of a program that the PATH leads to. */
export async function executableOnPath(
  env: NodeJS.ProcessEnv,
  program: string,
): Promise<string | undefined> {
  const fileName = process.platform === "win32" ? `${program}.exe` : program;
  const folders = (setting(env, "PATH") ?? "").split(delimiter).filter((folder) => folder !== "");
  for (const folder of folders) {
    const path = join(folder, fileName);
    if (await isExecutableFile(path)) return path;
  }
  return undefined;
}

async function isExecutableFile(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
