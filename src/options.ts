import { hostname } from "node:os";

import { z } from "zod";

import { parseDuration, type Duration } from "./consul/duration.js";
import { cleanPath, TAIL_KEY } from "./protocol/keys.js";
import { SemaphoreOptionsError } from "./errors.js";
import { shownWithType } from "./shown-value.js";

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
 * How long `tryAcquire` waits by default (Go: `DefaultSemaphoreWaitTime`).
 *
 * @example
 * ```ts
 * const semaphoreWaitTime = process.env["SLOT_WAIT"] ?? DEFAULT_SEMAPHORE_WAIT_TIME;
 * ```
 */
export const DEFAULT_SEMAPHORE_WAIT_TIME = "15s";

/**
 * The pause before a failed check of the slot is repeated (Go: `DefaultMonitorRetryTime`).
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
 * const options: SemaphoreOptions = {
 *   prefix: "jobs/resize",
 *   limit: 3,
 *   value: "resizer 7",
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
   * `/`. White space around it is refused.
   */
  readonly prefix: string;
  /**
   * How many may hold a slot at the same time: a whole number from 1 on. All contenders must agree on
   * it (Go: `Limit`).
   */
  readonly limit: number;
  /**
   * Whether to use the limit in Consul, and `limit` only if there is none yet. Otherwise
   * another limit there is a {@link SemaphoreLimitConflictError}, as in Go. Default: `false`.
   */
  readonly adoptLimit?: boolean | undefined;
  /**
   * Stored in the contender entry, so that people see whose it is. Each list of the prefix has the values of
   * all contenders, so keep it short, and below 190 kB; `""` for none (Go: `Value`). Default: `"<host name>:<process ID>"`.
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
   * one and two TTLs later (Go: `SessionTTL`). A longer one survives longer outages. Consul wants
   * 10 s to 24 h, if not configured otherwise, and refuses others when a slot is acquired. Less than
   * 100 ms is refused here. Default: `"15s"`.
   */
  readonly sessionTTL?: Duration | undefined;
  /**
   * The health checks of its node that a session made here depends on. Default: `[]`, none:
   * only its TTL ends the session, so that a holder always learns of a loss before another takes the
   * slot. With `["serfHealth"]`, Go's default, a slot comes free soon after its node has died, but
   * is lost as well when the other nodes only believe that it has.
   */
  readonly sessionChecks?: readonly string[] | undefined;
  /**
   * The node of Consul's catalog that a session made here belongs to, such as one that is registered
   * for that and that no agent leaves with; it has to be registered before. Default: the agent's own,
   * which another datacenter does not know.
   */
  readonly sessionNode?: string | undefined;
  /**
   * How many times in a row a failed reading for a held slot is repeated before the slot counts as
   * lost, when readings have failed for two TTLs already; with a session of yours without a TTL, from
   * the first failure of Consul's on, as in Go (`MonitorRetries`). Default: 0.
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

/**
 * How long a call waits for a slot: until its signal aborts or its `timeout` is over. Without either
 * it waits as long as it takes.
 *
 * - When the signal aborts, the call rejects with the signal's reason.
 * - When the timeout is over, `acquire` and `run` reject with a {@link SemaphoreTimeoutError}, and
 *   `tryAcquire` resolves to `null`. 0 takes a slot only where one is free.
 *
 * @example
 * ```ts
 * const waits: readonly SemaphoreWait[] = [signal, { timeout: "30s" }, { signal, timeout: 500 }];
 * ```
 */
export type SemaphoreWait =
  | AbortSignal
  | {
      /** Gives up waiting when it aborts. */
      readonly signal?: AbortSignal | undefined;
      /** How long to wait at most. Default: as long as it takes. */
      readonly timeout?: Duration | undefined;
    };

/** A session's ID is also the name of its contender entry: `.lock` must not pass for one. */
const SESSION_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const durationSchema = z.union([z.string(), z.number()]);

const prefixSchema = z
  .string({
    error: (issue) => `missing prefix: got ${shownWithType(issue.input)}, expected a string`,
  })
  .min(1, { error: `missing prefix: got ""`, abort: true })
  .refine((prefix) => !prefix.startsWith("/"), {
    error: (issue) => `invalid prefix ${shownWithType(issue.input)}: a key must not begin with "/"`,
    abort: true,
  })
  .refine((prefix) => prefix === prefix.trim(), {
    error: (issue) =>
      `invalid prefix ${shownWithType(issue.input)}: white space at its beginning or end`,
    abort: true,
  })
  .refine((prefix) => prefix.isWellFormed(), {
    error: (issue) => `invalid prefix ${shownWithType(issue.input)}: half of a surrogate pair`,
    abort: true,
  })
  .refine((prefix) => !/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(prefix), {
    error: (issue) =>
      `invalid prefix ${shownWithType(issue.input)}: Consul refuses paths with such a character`,
    abort: true,
  })
  .refine((prefix) => !cleanPath(prefix).split("/").includes(TAIL_KEY), {
    error: (issue) =>
      `invalid prefix ${shownWithType(issue.input)}: "${TAIL_KEY}" is where a long queue has its tail`,
    abort: true,
  })
  .refine((prefix) => !/^\.{1,2}(\/|$)/.test(cleanPath(prefix)), {
    error: (issue) =>
      `invalid prefix ${shownWithType(issue.input)}: it names no folder of the KV store`,
  });

/** Consul's own least TTL is 10 s, but its agents can be configured; in tests down to this. */
const SHORTEST_TTL_MS = 100;

/** Consul takes transactions of 512 KiB. Those that have the value have it twice, as base64. */
const MOST_VALUE_BYTES = 190_000;

const limitSchema = z
  .unknown()
  .refine((limit) => !(Number.isInteger(limit) && Number(limit) > Number.MAX_SAFE_INTEGER), {
    error: ({ input }) => `invalid limit: ${String(input)} is too large; the greatest is 2^53 - 1`,
    abort: true,
  })
  .pipe(wholeNumber(1, "semaphore limit must be positive"));

// Lists and bytes are copied: what becomes of them later is not for a semaphore that there is already.
const optionsSchema = z.strictObject({
  prefix: prefixSchema,
  limit: limitSchema,
  adoptLimit: z
    .boolean({
      error: (issue) =>
        `invalid adoptLimit: got ${shownWithType(issue.input)}, expected true or false`,
    })
    .default(false),
  value: z
    .union([z.string(), z.instanceof(Uint8Array)], {
      error: (issue) =>
        `invalid value: got ${shownWithType(issue.input)}, expected a string or Uint8Array`,
    })
    .refine((value) => Buffer.byteLength(value) <= MOST_VALUE_BYTES, {
      error: ({ input }) =>
        `invalid value: ${byteLength(input)} bytes, of which Consul takes ${MOST_VALUE_BYTES} in a transaction`,
    })
    .transform((value) => (typeof value === "string" ? value : new Uint8Array(value)))
    .default(() => `${hostname()}:${process.pid}`),
  session: text("session", "a session ID", (id) => SESSION_ID.test(id)).optional(),
  sessionName: text("sessionName", "a name").default(DEFAULT_SEMAPHORE_SESSION_NAME),
  sessionTTL: duration("invalid SessionTTL: sessionTTL", {
    ...{ least: SHORTEST_TTL_MS, problem: "is below Consul's 10s" },
  }).default(DEFAULT_SEMAPHORE_SESSION_TTL),
  sessionChecks: z
    .custom<readonly string[]>((checks) => z.array(z.string()).safeParse(checks).success, {
      error: (issue) =>
        `invalid sessionChecks: got ${shownWithType(issue.input)}, expected a list of names`,
    })
    .transform((checks) => [...checks])
    .default([]),
  sessionNode: text("sessionNode", "a name").optional(),
  monitorRetries: wholeNumber(0, "invalid monitorRetries").default(0),
  monitorRetryTime: duration("invalid monitorRetryTime").default(DEFAULT_MONITOR_RETRY_TIME),
  semaphoreWaitTime: duration("invalid semaphoreWaitTime").default(DEFAULT_SEMAPHORE_WAIT_TIME),
  namespace: text("namespace", "a name").optional(),
  partition: text("partition", "a name").optional(),
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
    throw new SemaphoreOptionsError(`missing semaphore options: got ${shownWithType(options)}`);
  }
  const given = checked(optionsSchema, options);
  const { namespace, partition, monitorRetryTime, semaphoreWaitTime, ...others } = given;
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
    "addEventListener" in value &&
    "removeEventListener" in value,
  {
    error: (issue) => `invalid signal: got ${shownWithType(issue.input)}, expected an AbortSignal`,
  },
);

/**
 * Checks the function of `run`, before a slot is taken for it.
 *
 * @throws SemaphoreOptionsError
 */
export function requireFunction(fn: unknown): void {
  if (typeof fn === "function") return;
  throw new SemaphoreOptionsError(
    `invalid function: got ${shownWithType(fn)}, expected a function`,
  );
}

/**
 * Before anything is written.
 *
 * @throws SemaphoreOptionsError
 */
export function requireLimit(limit: unknown): void {
  checked(z.strictObject({ limit: limitSchema }), { limit });
}

/**
 * How a client is closed.
 *
 * @example
 * ```ts
 * const options: CloseOptions = { drain: "20s" };
 * process.once("SIGTERM", () => void consul.close(options));
 * ```
 */
export interface CloseOptions {
  /** How long the holders have to release their slots. Default: 0. */
  readonly drain?: Duration | undefined;
}

const closeSchema = z.strictObject({ drain: duration("invalid drain").default(0) });

/**
 * In milliseconds.
 *
 * @throws SemaphoreOptionsError
 */
export function resolveDrain(options: CloseOptions): number {
  if (!z.record(z.string(), z.unknown()).safeParse(options).success) {
    throw new SemaphoreOptionsError(
      `invalid options: got ${shownWithType(options)}, expected { drain }`,
    );
  }
  return parseDuration(checked(closeSchema, options).drain);
}

/** A wait, split into its parts. */
export interface ResolvedWait {
  readonly signal: AbortSignal | undefined;
  /** As it was given. */
  readonly timeout: Duration | undefined;
  readonly timeoutMs: number | undefined;
}

const waitSchema = z.strictObject({
  signal: signalSchema.optional(),
  timeout: duration("invalid timeout").optional(),
});

/**
 * Refuses what it does not know: ignored, it would leave a call that cannot be given up.
 *
 * @throws SemaphoreOptionsError
 */
export function resolveWait(wait: unknown): ResolvedWait {
  if (wait === undefined) return { signal: undefined, timeout: undefined, timeoutMs: undefined };
  const given = signalSchema.safeParse(wait);
  if (given.success) return { signal: given.data, timeout: undefined, timeoutMs: undefined };
  // An AbortController, for one, has a signal as well.
  if (!z.record(z.string(), z.unknown()).safeParse(wait).success) {
    throw new SemaphoreOptionsError(
      `invalid wait: got ${shownWithType(wait)}, expected an AbortSignal, or { signal, timeout }`,
    );
  }
  const { signal, timeout } = checked(waitSchema, wait);
  return { signal, timeout, timeoutMs: timeout === undefined ? undefined : parseDuration(timeout) };
}

function checked<Shape extends z.core.$ZodLooseShape>(
  schema: z.ZodObject<Shape, z.core.$strict>,
  given: unknown,
): z.output<typeof schema> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const known = Object.keys(schema.shape);
  throw new SemaphoreOptionsError(
    parsed.error.issues.map((issue) => describeIssue(issue, known)).join("; "),
  );
}

function byteLength(value: unknown): number {
  return typeof value === "string" || value instanceof Uint8Array ? Buffer.byteLength(value) : 0;
}

function text(
  name: string,
  expected: string,
  valid: (value: string) => boolean = (value) => value !== "",
) {
  return z.custom<string>((value) => typeof value === "string" && valid(value), {
    error: (issue) => `invalid ${name}: got ${shownWithType(issue.input)}, expected ${expected}`,
  });
}

function wholeNumber(least: number, problem: string) {
  return z.custom<number>((value) => Number.isSafeInteger(value) && Number(value) >= least, {
    error: ({ input }) =>
      `${problem}: got ${shownWithType(input)}, expected a whole number of at least ${least}`,
  });
}

/** A duration of at least `least` milliseconds; a shorter one is refused with `problem`. */
function duration(name: string, { least = 0, problem = "is negative" } = {}) {
  return z.unknown().transform((value, context): Duration => {
    const refuse = (words: string): never => {
      context.addIssue({ code: "custom", message: `${name}: ${words}`, input: value });
      return z.NEVER;
    };
    const given = durationSchema.safeParse(value);
    if (!given.success)
      return refuse(`got ${shownWithType(value)}, expected "30s" or milliseconds`);
    try {
      if (parseDuration(given.data) >= least) return given.data;
    } catch (error) {
      return refuse(error instanceof Error ? error.message : String(error));
    }
    return typeof given.data === "number"
      ? refuse(`${given.data} ms ${problem}; numbers are milliseconds`)
      : refuse(`${JSON.stringify(given.data)} ${problem}`);
  });
}

function describeIssue(issue: z.core.$ZodIssue, known: readonly string[]): string {
  return issue.code === "unrecognized_keys"
    ? `unknown option ${issue.keys.map((key) => JSON.stringify(key)).join(", ")} ` +
        (issue.keys.includes("semaphoreTryOnce") ? "(call tryAcquire to try once) " : "") +
        `(known: ${known.join(", ")})`
    : issue.message;
}
