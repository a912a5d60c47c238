import { hostname } from "node:os";
import { basename } from "node:path";

import type { ConsulClient, SemaphoreSlot } from "consul-semaphore";

import type { OptionValues, Task } from "./arguments.js";
import { Child } from "./child.js";
import { EXIT_LOST } from "./exit-codes.js";
import { UsageError } from "./exit-error.js";
import { failureOf } from "./failure.js";
import { complain } from "./output.js";
import { interruption, Signals } from "./signals.js";
import { wholeNumber } from "./whole-number.js";

/** As of `consul lock`. */
const GRACE_MS = 5_000;

/** Runs a command while it holds a slot (Consul's CLI: `consul lock -n N`). */
export async function run(
  consul: ConsulClient,
  { prefix, values, program }: Task,
): Promise<number> {
  const graceMs = millisecondsOf(values, "grace") ?? GRACE_MS;
  const waitMs = millisecondsOf(values, "timeout");
  const semaphore = consul.semaphoreOpts({
    prefix,
    limit: wholeNumber("--limit", values.limit ?? ""),
    adoptLimit: values["adopt-limit"],
    // Without its arguments, which may be secret.
    value: `${hostname()}:${process.pid} ${basename(program[0] ?? "")}`,
    sessionTTL: millisecondsOf(values, "ttl"),
  });
  const waiting = new AbortController();
  const signals = new Signals((signal) => {
    signals.finish();
    waiting.abort(interruption(signal));
  });
  const timeout = values.try === true ? 0 : waitMs;
  const slot = await semaphore.acquire({ signal: waiting.signal, timeout });
  try {
    return await runIn(slot, program, graceMs, signals);
  } finally {
    signals.finish();
    await slot.release().catch((error: unknown) => {
      complain(`the command has ended, but ${failureOf(error).line}`);
    });
  }
}

async function runIn(
  slot: SemaphoreSlot,
  program: readonly string[],
  graceMs: number,
  signals: Signals,
): Promise<number> {
  const child = new Child(program, {
    CONSUL_LOCK_HELD: "true",
    CONSUL_SEMAPHORE_FENCING_TOKEN: slot.fencingToken.toString(),
  });
  signals.handOn((signal) => {
    child.send(signal);
  });
  const end = (): void => {
    complain(`${failureOf(slot.signal.reason).line}; stopping the command`);
    child.end(graceMs);
  };
  if (slot.held) slot.signal.addEventListener("abort", end);
  else end();
  try {
    const exitCode = await child.ended;
    // Another may have been at work beside it, whatever it says.
    return slot.held ? exitCode : EXIT_LOST;
  } finally {
    slot.signal.removeEventListener("abort", end);
  }
}

const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

const LONGEST_MS = 500 * 3_600_000;

/** Of a duration as Go writes it, in the units that make sense here. */
function millisecondsOf(
  values: OptionValues,
  option: "grace" | "timeout" | "ttl",
): number | undefined {
  const text = values[option];
  if (text === undefined) return undefined;
  if (text === "0") return 0;
  let ms = 0;
  const rest = text.replaceAll(/([\d.]+)(ms|s|m|h)/g, (_, amount: string, unit: string) => {
    ms += Number(amount) * (MS_PER_UNIT[unit] ?? NaN);
    return "";
  });
  if (rest === "" && text !== "" && ms <= LONGEST_MS) return ms;
  throw new UsageError(
    `invalid --${option} ${JSON.stringify(text)}: expected a time such as 1m30s, 500h at most`,
  );
}
