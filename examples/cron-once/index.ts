// Runs a command once per period, however many machines start it. Put it into the crontab of each of
// them, so that the job survives the loss of any. Names of periods sort by age, as dates do:
//
//   0 * * * *  npx tsx examples/cron-once/index.ts report "$(date -u +\%FT\%H)" ./report.sh
//
// A period is done when the command has ended with 0. The other machines wait for that. Where it
// fails, or its machine dies, the next one tries, and each tries once. So a command that succeeds has
// run at least once, and as a rule just once: a machine can die, or lose its slot, between the end of
// the work and the record of it. For at most once, record the period before the command runs; then a
// run that fails is not tried again in that period.

import { hostname } from "node:os";

import { ConsulClient } from "consul-semaphore";

import { runCommand } from "./run-command.js";

const [name, period, command, ...args] = process.argv.slice(2);
if (name === undefined || period === undefined || command === undefined) {
  console.error("usage: cron-once NAME PERIOD COMMAND [ARGUMENT…]");
  process.exit(2);
}

const prefix = process.env["EXAMPLE_PREFIX"] ?? `examples/cron-once/${name}`;
// Beside the prefix and not below it: what is below belongs to the semaphore.
const key = `${prefix}.last`;

const stopping = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => {
    stopping.abort(new Error(signal));
  });
}

await using consul = new ConsulClient();
const semaphore = consul.semaphoreOpts({ prefix, limit: 1, sessionName: prefix });
const timeout = process.env["WAIT"] ?? "30m";
await using slot = await semaphore.tryAcquire({ signal: stopping.signal, timeout });

const { value: entry } = await consul.kv.get(key, { consistent: true });
const record = Buffer.from(entry?.value ?? []).toString();
// A period may have spaces, what follows it has none.
const [, done = ""] = /^(.*) \S+ \d+$/s.exec(record) ?? [];
if (done >= period) {
  console.log(`skipped ${name}: ${done} is done`);
} else if (slot === null) {
  console.log(`skipped ${name}: still running elsewhere after ${timeout}`);
} else {
  const signal = AbortSignal.any([slot.signal, stopping.signal]);
  // With the token, what the command writes to can refuse a run that has been overtaken.
  const env = { PERIOD: period, FENCING_TOKEN: String(slot.fencingToken) };
  process.exitCode = await runCommand(command, args, { env, signal });
  if (signal.aborted) {
    console.error(`stopped ${name}: ${String(signal.reason)}`);
  } else if (process.exitCode === 0) {
    const value = `${period} ${hostname()} ${slot.fencingToken}`;
    // Fails if another machine has run the job since we looked: our slot was taken from us.
    const modifyIndex = entry?.modifyIndex ?? 0n;
    if (!(await consul.kv.cas({ key, value, modifyIndex }))) {
      console.error(`${name} has also run elsewhere`);
      process.exitCode = 1;
    }
  }
}
