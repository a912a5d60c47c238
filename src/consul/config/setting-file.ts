import { readFileSync } from "node:fs";

import { ConsulConfigError } from "./config-error.js";
import type { Setting } from "./setting.js";

/** @throws ConsulConfigError that names the setting, for a file that cannot be read */
export function readText({ name, value: file }: Setting): string {
  return attempt(name, `${file} cannot be read`, () => readFileSync(file, "utf8"));
}

/**
 * Runs a step that depends on a setting.
 *
 * @throws ConsulConfigError that names the setting and the failure, if `step` throws
 */
export function attempt<Result>(name: string, failure: string, step: () => Result): Result {
  try {
    return step();
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new ConsulConfigError(`invalid ${name}: ${failure} (${problem})`, { cause: error });
  }
}
