#!/usr/bin/env node
// The command line of the package, over its public API alone.
import type { ConsulClient } from "consul-semaphore";

import manifest from "consul-semaphore/package.json" with { type: "json" };
import { parseCommandLine, type CommandName, type Task } from "./arguments.js";
import { connect } from "./connection.js";
import { destroy } from "./destroy.js";
import { exitCodeOf } from "./exit-codes.js";
import { failureOf } from "./failure.js";
import { helpOf } from "./help.js";
import { inspect } from "./inspect.js";
import { complain, tell } from "./output.js";
import { resize } from "./resize.js";
import { run } from "./run.js";
import { watch } from "./watch.js";

const COMMANDS: Readonly<
  Record<CommandName, (consul: ConsulClient, task: Task) => Promise<number>>
> = { inspect, watch, run, resize, destroy };

// The reader of the output has left, as `head` does.
process.stdout.on("error", () => process.exit(exitCodeOf("SIGPIPE")));
process.stderr.on("error", () => undefined);

void main(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode;
});

/** Resolves to what the process is to end with. */
async function main(argv: readonly string[]): Promise<number> {
  try {
    const order = parseCommandLine(argv);
    if (order.kind === "command") {
      const consul = connect(order.values);
      try {
        return await COMMANDS[order.name](consul, order);
      } finally {
        await consul.close();
      }
    }
    tell(order.kind === "version" ? manifest.version : helpOf(order.about));
    return 0;
  } catch (error) {
    const { exitCode, line } = failureOf(error);
    complain(line);
    return exitCode;
  }
}
