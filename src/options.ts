import { inspect } from "node:util";

import { z } from "zod";

import { parseDuration, type Duration } from "./consul/duration.js";
import { cleanPath } from "./protocol/keys.js";
import { SemaphoreOptionsError } from "./errors.js";

/**
 * The name of a session that was given none (Go: `DefaultSemaphoreSessionName`).
 *
 * @example
 * ```ts
 * const { value: sessions } = await consul.session.list();
 * const ours = sessions.filter(({ name }) => name === DEFAULT_SEMAPHORE_SESSION_NAME);
 * ```
 */
export const DEFAULT_SEMAPHORE_SESSION_NAME = "Consul API Semaphore";

/**
 * The TTL of a session that was given none (Go: `DefaultSemaphoreSessionTTL`).
 *
 * @example
 * ```ts
 * const sessionTTL = process.env["SLOT_TTL"] ?? DEFAULT_SEMAPHORE_SESSION_TTL;
 * ```
 */
export const DEFAULT_SEMAPHORE_SESSION_TTL = "15s";

/**
 * How long `tryAcquire` waits if not told otherwise (Go: `DefaultSemaphoreWaitTime`).
 *
 * @example
 * ```ts
 * const semaphoreWaitTime = process.env["SLOT_WAIT"] ?? DEFAULT_SEMAPHORE_WAIT_TIME;
 * ```
 */
export const DEFAULT_SEMAPHORE_WAIT_TIME = "15s";

/**
 * The pause before a failed look at the slot is repeated (Go: `DefaultMonitorRetryTime`).
 *
 * @example
 * ```ts
 * const options = { monitorRetries: 3, monitorRetryTime: DEFAULT_MONITOR_RETRY_TIME };
 * ```
 */
export const DEFAULT_MONITOR_RETRY_TIME = "2s";

/**
 * How a semaphore is set up (Go: `SemaphoreOptions`). Durations are Go duration strings (`"1m30s"`)
 * or milliseconds. `SemaphoreTryOnce` is {@link Semaphore.tryAcquire} here.
 *
 * @example
 * ```ts
 * import { hostname } from "node:os";
 *
 * const options: SemaphoreOptions = {
 *   prefix: "jobs/resize",
 *   limit: 3,
 *   value: hostname(),
 *   sessionTTL: "30s",
 *   semaphoreWaitTime: 500,
 * };
 * const sem = new Semaphore(consul, options);
 * ```
 */
export interface SemaphoreOptions {
  /**
   * The semaphore's place in the KV store, which takes the permission to write there (Go: `Prefix`).
   * It is cleaned up as Go's `path.Clean` does; what is left must name a folder, and not begin with
   * `/`.
   */
  readonly prefix: string;
  /**
   * How many may hold a slot at the same time: a whole number from 1 on. All contenders must agree on
   * it (Go: `Limit`).
   */
  readonly limit: number;
  /**
   * Stored in the contender entry, to tell people who it is: a host name, say. Each list of the prefix
   * has the values of all contenders, so keep it short (Go: `Value`).
   */
  readonly value?: Uint8Array | string | undefined;
  /**
   * The ID of a session of yours to use, which you end (Go: `Session`). If it has a TTL, it is renewed here as well
   * for as long as a slot or a place in the queue hangs on it, which takes the permission to write
   * sessions: only who renews a session knows how long it lasts. If it already holds a slot, as
   * after a restart of the process, `acquire` has that slot at once. On one prefix, one session is
   * one slot. Default: each acquire creates a session, and destroys it in the end.
   */
  readonly session?: string | undefined;
  /** The name of a session made here (Go: `SessionName`). Default: `"Consul API Semaphore"`. */
  readonly sessionName?: string | undefined;
  /**
   * How long a session made here outlives its last renewal: after a crash its slot is free between
   * one and two TTLs later (Go: `SessionTTL`). A longer one rides out longer outages. Consul wants
   * 10 s to 24 h, and refuses others when a slot is asked for. Default: `"15s"`.
   */
  readonly sessionTTL?: Duration | undefined;
  /**
   * The health checks of the agent's node that a session made here depends on. Default: `[]`, none:
   * only its TTL ends the session, so that a holder always hears of a loss before another takes the
   * slot. With `["serfHealth"]`, Go's default, a slot comes free soon after its node has died, but
   * is lost as well when the other nodes only believe that it has.
   */
  readonly sessionChecks?: readonly string[] | undefined;
  /**
   * How many times in a row a failed look at a held slot is repeated before the slot counts as
   * lost, when looks have failed for two TTLs already; with a session of yours without a TTL, from
   * the first failure on, as in Go (`MonitorRetries`). Default: 0.
   */
  readonly monitorRetries?: number | undefined;
  /** The pause before each of these (Go: `MonitorRetryTime`). Default: `"2s"`. */
  readonly monitorRetryTime?: Duration | undefined;
  /**
   * How long `tryAcquire` waits for a slot (Go: `SemaphoreWaitTime`). 0 means that it does not wait
   * but looks just once, which takes as long as the requests for it: see
   * {@link Semaphore.tryAcquire}. It is no limit to `acquire`, but from one second on also how long
   * one blocking query of a waiter lasts at most. Default: `"15s"`.
   */
  readonly semaphoreWaitTime?: Duration | undefined;
  /** The namespace to work in (Consul Enterprise; Go: `Namespace`). Default: the client's. */
  readonly namespace?: string | undefined;
  /** The admin partition to work in (Consul Enterprise). Default: the client's. */
  readonly partition?: string | undefined;
}

/** A session's ID is also the name of its contender entry: `.lock` must not pass for one. */
const SESSION_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const durationSchema = z.union([z.string(), z.number()]);

const prefixSchema = z
  .string({ error: (issue) => `missing prefix: got ${show(issue.input)}, expected a string` })
  .min(1, { error: `missing prefix: got ""`, abort: true })
  .refine((prefix) => !prefix.startsWith("/"), {
    error: (issue) => `invalid prefix ${show(issue.input)}: a key must not begin with "/"`,
    abort: true,
  })
  .refine((prefix) => prefix.isWellFormed(), {
    error: (issue) => `invalid prefix ${show(issue.input)}: half of a surrogate pair`,
    abort: true,
  })
  .refine((prefix) => !/^\.{1,2}(\/|$)/.test(cleanPath(prefix)), {
    error: (issue) => `invalid prefix ${show(issue.input)}: it names no folder of the KV store`,
  });

const optionsSchema = z.strictObject({
  prefix: prefixSchema,
  limit: wholeNumber(1, "semaphore limit must be positive"),
  value: z
    .union([z.string(), z.instanceof(Uint8Array)], {
      error: (issue) => `invalid Value: got ${show(issue.input)}, expected a string or Uint8Array`,
    })
    .optional(),
  session: text("Session", "a session ID", (id) => SESSION_ID.test(id)).optional(),
  sessionName: text("SessionName", "a name").default(DEFAULT_SEMAPHORE_SESSION_NAME),
  sessionTTL: duration("SessionTTL", { positive: true }).default(DEFAULT_SEMAPHORE_SESSION_TTL),
  sessionChecks: z
    .custom<readonly string[]>((checks) => z.array(z.string()).safeParse(checks).success, {
      error: (issue) => `invalid SessionChecks: got ${show(issue.input)}, expected a list of names`,
    })
    .default([]),
  monitorRetries: wholeNumber(0, "invalid MonitorRetries").default(0),
  monitorRetryTime: duration("MonitorRetryTime").default(DEFAULT_MONITOR_RETRY_TIME),
  semaphoreWaitTime: duration("SemaphoreWaitTime").default(DEFAULT_SEMAPHORE_WAIT_TIME),
  namespace: text("Namespace", "a name").optional(),
  partition: text("Partition", "a name").optional(),
});

/** The options with all defaults. */
export type ResolvedSemaphoreOptions = Omit<
  z.output<typeof optionsSchema>,
  "namespace" | "partition" | "monitorRetryTime" | "semaphoreWaitTime"
> & {
  /** The namespace and partition to work in. */
  readonly scope: Pick<SemaphoreOptions, "namespace" | "partition">;
  /** In milliseconds. */
  readonly monitorRetryTime: number;
  /** In milliseconds. */
  readonly semaphoreWaitTime: number;
};

/** @throws SemaphoreOptionsError that shows each bad value. */
export function resolveOptions(options: SemaphoreOptions): ResolvedSemaphoreOptions {
  if (!z.looseObject({}).safeParse(options).success) {
    throw new SemaphoreOptionsError(`missing semaphore options: got ${show(options)}`);
  }
  const parsed = optionsSchema.safeParse(options);
  if (!parsed.success) {
    throw new SemaphoreOptionsError(parsed.error.issues.map(describeIssue).join("; "));
  }
  const { namespace, partition, monitorRetryTime, semaphoreWaitTime, ...others } = parsed.data;
  return {
    ...others,
    scope: { namespace, partition },
    monitorRetryTime: parseDuration(monitorRetryTime),
    semaphoreWaitTime: parseDuration(semaphoreWaitTime),
  };
}

const signalSchema = z.custom<AbortSignal>(
  (value) =>
    typeof value === "object" &&
    value !== null &&
    "aborted" in value &&
    "addEventListener" in value,
);

/**
 * Before a slot is taken for nothing.
 *
 * @throws SemaphoreOptionsError
 */
export function requireFunction(fn: unknown): void {
  if (typeof fn === "function") return;
  throw new SemaphoreOptionsError(
    `invalid function: got ${show(fn)}, expected what to run with the slot`,
  );
}

/**
 * Refuses what is no signal, such as the `{ signal }` that other functions take: ignored, it would
 * leave a call that cannot be given up.
 *
 * @throws SemaphoreOptionsError
 */
export function requireSignal(signal: unknown): void {
  if (signal === undefined || signalSchema.safeParse(signal).success) return;
  throw new SemaphoreOptionsError(
    `invalid signal: got ${show(signal)}, expected an AbortSignal as the argument itself`,
  );
}

function text(
  name: string,
  expected: string,
  valid: (value: string) => boolean = (value) => value !== "",
) {
  return z.custom<string>((value) => typeof value === "string" && valid(value), {
    error: (issue) => `invalid ${name}: got ${show(issue.input)}, expected ${expected}`,
  });
}

function wholeNumber(least: number, problem: string) {
  return z.custom<number>((value) => Number.isSafeInteger(value) && Number(value) >= least, {
    error: (issue) =>
      `${problem}: got ${show(issue.input)}, expected a whole number of at least ${least}`,
  });
}

function duration(name: string, { positive = false } = {}) {
  return z.unknown().transform((value, context): Duration => {
    try {
      const given = durationSchema.parse(value);
      const ms = parseDuration(given);
      if (ms < 0 || (positive && ms === 0)) throw new RangeError(`${show(value)} is too short`);
      return given;
    } catch (error) {
      const problem = error instanceof RangeError ? error.message : `got ${show(value)}`;
      context.addIssue({ code: "custom", message: `invalid ${name}: ${problem}`, input: value });
      return z.NEVER;
    }
  });
}

function describeIssue(issue: z.core.$ZodIssue): string {
  return issue.code === "unrecognized_keys"
    ? `unknown option ${issue.keys.map((key) => JSON.stringify(key)).join(", ")} ` +
        (issue.keys.includes("semaphoreTryOnce") ? "(call tryAcquire to try once) " : "") +
        `(known: ${Object.keys(optionsSchema.shape).join(", ")})`
    : issue.message;
}

function show(value: unknown): string {
  return `${inspect(value, { breakLength: Infinity, depth: 0 })} (${typeof value})`;
}
