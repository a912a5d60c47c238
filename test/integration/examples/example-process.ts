import { join } from "node:path";

import { ProgramProcess, sourceProgram, type Settings } from "../program-process.js";

export { PATIENCE_MS } from "../program-process.js";

/** A program of `examples/`, run as its reader runs it; killed with the test. */
export class ExampleProcess extends ProgramProcess {
  constructor(name: string, args: readonly string[], settings: Settings) {
    const program = sourceProgram(join("examples", name, "index.ts"));
    super(process.execPath, [...program, ...args], settings);
  }
}
