import { readFileSync } from "node:fs";

import { ConsulConfigError } from "./config-error.js";
import type { Setting } from "./setting.js";

/** @throws ConsulConfigError for a file that cannot be read, by the name of what it was given as */
export function readText({ name, value: file }: Setting<string>): string {
  return attemptAt(name, file, () => readFileSync(file, "utf8"));
}

/**
 * What is read at a path that a setting has.
 *
 * @throws ConsulConfigError where that fails, by the setting's name
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
