import { ConsulConfigError } from "./config-error.js";

/** The environment variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A value and its origin, for error messages. */
export interface Setting {
  readonly value: string;
  /** The name of an option or of a variable. */
  readonly name: string;
  readonly from: "options" | "environment";
}

/** The value of an option, or else of an environment variable. */
export function setting(
  option: string,
  given: string | undefined,
  variable: string,
  env: Environment,
): Setting | undefined {
  return optionOf(option, given) ?? variableOf(variable, env);
}

/** The value of an option. */
export function optionOf(name: string, value: string | undefined): Setting | undefined {
  return value === undefined ? undefined : { value, name, from: "options" };
}

/** The value of an environment variable. An empty one counts as not set. */
export function variableOf(name: string, env: Environment): Setting | undefined {
  const value = env[name];
  return value === undefined || value === "" ? undefined : { value, name, from: "environment" };
}

const TRUE: ReadonlySet<string> = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE: ReadonlySet<string> = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/**
 * The value of a boolean environment variable (Go: `strconv.ParseBool`).
 *
 * @throws ConsulConfigError for any other text, which Go's client ignores
 */
export function flagOf(name: string, env: Environment): boolean | undefined {
  const value = variableOf(name, env)?.value;
  if (value === undefined) return undefined;
  if (TRUE.has(value)) return true;
  if (FALSE.has(value)) return false;
  throw new ConsulConfigError(
    `invalid ${name} ${JSON.stringify(value)}: expected one of ${[...TRUE, ...FALSE].join(", ")}`,
  );
}
