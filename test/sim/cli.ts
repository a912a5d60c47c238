import { fork, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { z } from "zod";

import { Report, type Failure } from "./report.js";
import { simulate, type Outcome } from "./simulation.js";
import { VIOLATION_KINDS } from "./violation.js";

const USAGE = `Runs the library against a simulated Consul, network and clock.

  --seeds N        how many seeds to run (default: 10000)
  --from S         the first of them, or "random" (default: 1)
  --seed X         this seed alone
  --trace          print all that happens in that seed
  --minutes M      stop after that time, however many seeds are left
  --jobs J         in how many processes (default: one for each core)
  --keep-going     do not stop at the first violation
  --only KIND      look for violations of that kind alone
`;

const SHOWN_LINES = 120;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "10000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
    minutes: { type: "string" },
    jobs: { type: "string", default: String(availableParallelism()) },
    "keep-going": { type: "boolean", default: false },
    only: { type: "string" },
    stripe: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

const count = z.coerce.number().int().nonnegative();

const only = z.enum(VIOLATION_KINDS).optional().parse(values.only);

const outcomeSchema: z.ZodType<Outcome> = z.object({
  seed: z.number(),
  violation: z.custom<Outcome["violation"]>(),
  tally: z.record(z.string(), z.number()),
  events: z.number(),
  hash: z.string(),
  lines: z.array(z.string()),
});

if (values.help) print(USAGE);
else if (values.stripe !== undefined) await work(values.stripe);
else if (values.seed !== undefined) await replay(count.parse(values.seed));
else await explore();

/** One seed, in this process. */
async function replay(seed: number): Promise<void> {
  const report = new Report();
  report.add(await simulate(seed, { only, write: values.trace ? print : undefined }));
  conclude(report);
}

/** A child process's part of the seeds. */
async function work(stripe: string): Promise<void> {
  const [first = 0, end = 0, step = 1] = stripe.split(",").map((number) => count.parse(number));
  // Without a parent there is nobody left to tell.
  for (let seed = first; seed < end && process.connected; seed += step) {
    const outcome = await simulate(seed, { only });
    const failed = outcome.violation !== null;
    process.send?.(failed ? outcome : { ...outcome, lines: [] });
    if (isEnough(outcome)) break;
  }
  if (process.connected) process.disconnect();
}

async function explore(): Promise<void> {
  const report = new Report();
  const from = values.from === "random" ? randomInt(2 ** 40) : count.parse(values.from);
  const seeds = count.parse(values.seeds);
  const jobs = Math.max(1, Math.min(count.parse(values.jobs), seeds));
  const children = Array.from({ length: jobs }, (_, job) =>
    startWorker(from + job, from + seeds, jobs),
  );
  const stopAll = (): void => {
    for (const child of children) child.kill();
  };
  const limit =
    values.minutes === undefined
      ? undefined
      : setTimeout(stopAll, z.coerce.number().positive().parse(values.minutes) * 60_000);
  const progress = setInterval(() => {
    print(`${report.seeds} of ${seeds} seeds, ${report.failures.length} violations`);
  }, 10_000);
  await Promise.all(
    children.map((child) =>
      followWorker(child, (outcome) => {
        report.add(outcome);
        if (isEnough(outcome)) stopAll();
      }),
    ),
  );
  clearTimeout(limit);
  clearInterval(progress);
  conclude(report);
}

function startWorker(first: number, end: number, step: number): ChildProcess {
  const args = ["--stripe", [first, end, step].join(",")];
  if (values["keep-going"]) args.push("--keep-going");
  if (only !== undefined) args.push("--only", only);
  return fork(fileURLToPath(import.meta.url), args, {
    // A run makes little that lasts: with more room for the young, few of them are ever copied.
    execArgv: [...process.execArgv, "--max-semi-space-size=32"],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
}

function followWorker(child: ChildProcess, each: (outcome: Outcome) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    child.on("message", (message) => {
      each(outcomeSchema.parse(message));
    });
    child.on("error", reject);
    child.on("exit", (code) => {
      // One that was stopped has no code.
      if (code === null || code === 0) resolve();
      else reject(new Error(`a worker ended with code ${code}`));
    });
  });
}

function conclude(report: Report): void {
  const [first, ...others] = report.failures;
  if (first !== undefined) printFailure(first);
  for (const { seed, kind, problem } of others)
    print(`seed ${seed}: ${kind}: ${firstLine(problem)}`);
  print(report.summary());
  process.exitCode = report.failures.length === 0 ? 0 : 1;
}

function printFailure({ seed, kind, problem, lines }: Failure): void {
  if (!values.trace) print(lines.slice(-SHOWN_LINES).join("\n"));
  print(`\nviolation in seed ${seed}: ${kind}: ${problem}`);
  print(`replay: npm run sim -- --seed ${seed} --trace\n`);
}

/** Whether to look no further. */
function isEnough({ violation }: Outcome): boolean {
  return violation !== null && !values["keep-going"];
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
