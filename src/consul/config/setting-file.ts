import { readFileSync } from "node:fs";

import { ConsulConfigError } from "./config-error.js";
import type { Setting } from "./setting.js";

/** @throws ConsulConfigError that names the setting, for a file that cannot be read */
export function readText({ name, value: file }: Setting<string>): string {
  return attemptAt(name, file, () => readFileSync(file, "utf8"));
}

/**
 * Reads the path that a setting has.
 *
 * @throws ConsulConfigError that names the setting, if `read` fails
 */
export function attemptAt<Result>(name: string, path: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new ConsulConfigError(`invalid ${name}: ${path} cannot be read (${problem})`, {
      cause: error,
    });
  }
}
