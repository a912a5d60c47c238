import { parseArgs } from "node:util";

import { UsageError } from "./exit-error.js";

const TEXT = { type: "string" } as const;
const FLAG = { type: "boolean" } as const;

/** How to reach Consul, as Consul's own CLI has it. */
const CONNECTION = {
  "http-addr": TEXT,
  token: TEXT,
  "token-file": TEXT,
  datacenter: TEXT,
  namespace: TEXT,
  partition: TEXT,
  "ca-file": TEXT,
  "ca-path": TEXT,
  "client-cert": TEXT,
  "client-key": TEXT,
  "tls-server-name": TEXT,
} as const;

const OPTIONS = {
  ...CONNECTION,
  help: FLAG,
  version: FLAG,
  json: FLAG,
  limit: TEXT,
  "adopt-limit": FLAG,
  timeout: TEXT,
  try: FLAG,
  grace: TEXT,
  ttl: TEXT,
} as const;

type OptionName = keyof typeof OPTIONS;

/** What is set of the options. */
export type OptionValues = {
  readonly [Name in OptionName]?: (typeof OPTIONS)[Name] extends typeof FLAG ? boolean : string;
};

const LENIENT = { options: OPTIONS, allowPositionals: true, strict: false } as const;

const WRITE_DASHES = "write -- before the command to run: run PREFIX --limit N -- COMMAND";

/** What each command takes beside a prefix and the connection. */
const COMMANDS = {
  inspect: ["json"],
  watch: [],
  run: ["limit", "adopt-limit", "timeout", "try", "grace", "ttl"],
  resize: [],
  destroy: [],
} as const satisfies Record<string, readonly OptionName[]>;

export type CommandName = keyof typeof COMMANDS;

export const COMMAND_NAMES = ["inspect", "watch", "run", "resize", "destroy"] as const;

/** A command line, understood. */
export type Order =
  | { readonly kind: "version" }
  | { readonly kind: "help"; readonly about: CommandName | undefined }
  | Task;

/** What a command is to do. */
export interface Task {
  readonly kind: "command";
  readonly name: CommandName;
  readonly prefix: string;
  /** What follows the prefix, before `--`. */
  readonly operand: string;
  readonly values: OptionValues;
  /** What follows `--`: a program and its arguments. */
  readonly program: readonly string[];
}

/** The options of a command by name, with those of the connection. */
export function optionsOf(name: CommandName): readonly string[] {
  return [...COMMANDS[name], ...Object.keys(CONNECTION)];
}

/** @throws UsageError */
export function parseCommandLine(argv: readonly string[]): Order {
  const separator = argv.includes("--") ? argv.indexOf("--") : argv.length;
  const program = argv.slice(separator + 1);
  const args = argv.slice(0, separator).map(withTwoDashes);
  // Without --, the options of the command to run would be taken for ours.
  const { positionals: words } = parseArgs({ ...LENIENT, args });
  const isMissing = separator === argv.length && words[0] === "run" && words.length > 2;
  if (isMissing) throw new UsageError(WRITE_DASHES);
  const { values, positionals } = parsed(args);
  if (values.version === true) return { kind: "version" };
  const [word = "", prefix, ...rest] = positionals;
  const name = COMMAND_NAMES.find((command) => command === word);
  if (values.help === true || word === "help") return { kind: "help", about: name };
  if (name === undefined) {
    const problem = word === "" ? "missing command" : `unknown command ${JSON.stringify(word)}`;
    throw new UsageError(`${problem}: expected ${COMMAND_NAMES.join(", ")}`);
  }
  checkOptions(name, values);
  if (values.try === true && values.timeout !== undefined) {
    throw new UsageError("--try does not wait: leave out --timeout");
  }
  const [operand] = rest;
  if (prefix === undefined) throw new UsageError(`${name} needs a PREFIX`);
  if (name === "run" && !program[0]) throw new UsageError(WRITE_DASHES);
  if (name === "resize" && operand === undefined) throw new UsageError("resize needs PREFIX and N");
  const operands = rest.length + (name === "run" ? 0 : program.length);
  if (operands > (name === "resize" ? 1 : 0))
    throw new UsageError(`too many arguments for ${name}`);
  return { kind: "command", name, prefix, operand: operand ?? "", values, program };
}

/** Consul's CLI has one dash before its options, and `-n` for the limit. */
function withTwoDashes(argument: string): string {
  return argument
    .replace(/^-n(?==|$)/, "--limit")
    .replace(/^-h$/, "--help")
    .replace(/^-(?=[a-z][a-z-]+(?:=|$))/, "--");
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // What follows the first sentence is about arguments that begin with a dash.
    const [problem = ""] = error.message.split(/\. |\n/);
    throw new UsageError(problem);
  }
}

function checkOptions(name: CommandName, values: OptionValues): void {
  const known = optionsOf(name);
  const unknown = Object.keys(values).find((option) => !known.includes(option));
  if (unknown !== undefined) throw new UsageError(`${name} has no option --${unknown}`);
  if (name === "run" && values.limit === undefined) {
    throw new UsageError("run needs --limit N, the same for all that use the prefix");
  }
}
