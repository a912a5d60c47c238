import { ProgramProcess, sourceProgram, type Ended, type Settings } from "../program-process.js";

const PROGRAM = sourceProgram("src/cli/index.ts");

/** The command line in a process of its own, against the Consul under test. */
export class CliProcess extends ProgramProcess {
  constructor(args: readonly string[], settings: Settings = {}) {
    super(process.execPath, [...PROGRAM, ...args], settings);
  }
}

/** The same in a terminal of 24 lines of 100 columns, which it has from `script`. */
export class TerminalProcess extends ProgramProcess {
  constructor(args: readonly string[], settings: Settings = {}) {
    const words = [process.execPath, ...PROGRAM, ...args].map(
      (word) => `'${word.replaceAll("'", String.raw`'\''`)}'`,
    );
    const command = `stty rows 24 cols 100; exec ${words.join(" ")}`;
    super("script", ["-q", "-e", "-c", command, "/dev/null"], { TERM: "xterm", ...settings });
  }
}

/** Runs it to its end. */
export async function cli(args: readonly string[], settings: Settings = {}): Promise<Ended> {
  return await new CliProcess(args, settings).ended;
}
