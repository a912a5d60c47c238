import { ConsulConfigError } from "./config-error.js";

/** The environment variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A value, and what it is called where it was given, for errors. */
export interface Setting<Value> {
  readonly value: Value;
  /** The name of an option or of a variable. */
  readonly name: string;
  readonly from: "options" | "environment";
}

/** What was given as an option, or else as a variable. */
export function setting(
  option: string,
  given: string | undefined,
  variable: string,
  env: Environment,
): Setting<string> | undefined {
  if (given !== undefined) return { value: given, name: option, from: "options" };
  return variableOf(variable, env);
}

/** A variable. As in the shell, one that is set to nothing is not set. */
export function variableOf(name: string, env: Environment): Setting<string> | undefined {
  const value = env[name];
  return value === undefined || value === "" ? undefined : { value, name, from: "environment" };
}

const TRUE: ReadonlySet<string> = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE: ReadonlySet<string> = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/**
 * A variable that says yes or no (Go: `strconv.ParseBool`).
 *
 * @throws ConsulConfigError for any other word: Go's client goes on as if it were not there
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
