// Runs a command unless it is running already, anywhere in the fleet: `flock -n` for many machines.
// Put it into the crontab of each of them, so that the job survives the loss of any. It is not for
// once an hour, but for one at a time: a machine whose clock is late may run a short job again.
//
//   0 * * * *  npx tsx examples/cron-once/index.ts hourly-report ./report.sh

import { spawn } from "node:child_process";
import { hostname } from "node:os";

import { ConsulClient } from "consul-semaphore";

const [name, command, ...args] = process.argv.slice(2);
if (name === undefined || command === undefined) {
  console.error("usage: cron-once NAME COMMAND [ARGUMENT…]");
  process.exit(2);
}

const prefix = process.env["EXAMPLE_PREFIX"] ?? `examples/cron-once/${name}`;
const stopping = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    stopping.abort(new Error(signal));
  });
}

await using consul = new ConsulClient();
const job = consul.semaphoreOpts({
  prefix,
  limit: 1,
  // Looks once, and does not wait: the next hour comes anyway.
  semaphoreWaitTime: 0,
  // For people who ask Consul where the job is running.
  value: hostname(),
  sessionName: prefix,
});
await using slot = await job.tryAcquire(stopping.signal);
if (slot === null) {
  console.log(`skipped ${name}: it is running elsewhere`);
} else {
  const signal = AbortSignal.any([slot.signal, stopping.signal]);
  process.exitCode = await run(command, args, signal, slot.fencingToken);
  if (signal.aborted) console.error(`stopped ${name}: ${String(signal.reason)}`);
}

/** Resolves when the command has ended, and not before: until then the slot is in use. */
function run(
  program: string,
  itsArguments: readonly string[],
  signal: AbortSignal,
  fencingToken: bigint,
): Promise<number> {
  return new Promise((resolve, reject) => {
    // With the token the command can be fenced off, should it go on when this process is killed.
    const env = { ...process.env, FENCING_TOKEN: String(fencingToken) };
    const child = spawn(program, itsArguments, { stdio: "inherit", env });
    const stop = (): void => {
      child.kill("SIGTERM");
    };
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    child.once("error", reject);
    child.once("exit", (code) => {
      signal.removeEventListener("abort", stop);
      resolve(code ?? 1);
    });
  });
}
