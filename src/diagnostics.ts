import { channel, tracingChannel, type TracingChannel } from "node:diagnostics_channel";

import type { SemaphoreLostError } from "./errors.js";
import { jsonFields } from "./json-fields.js";

/**
 * Which semaphore an event of `node:diagnostics_channel` is about.
 *
 * @example
 * ```ts
 * const labelsOf = ({ prefix }: SemaphoreEvent) => ({ prefix });
 * ```
 */
export interface SemaphoreEvent {
  /** As {@link SemaphoreOptions.prefix}. */
  readonly prefix: string;
  /** As {@link SemaphoreOptions.limit}. */
  readonly limit: number;
}

/**
 * A call that asks for a slot, from the call to its end. Tracing channel `consul-semaphore:acquire`:
 * `start`, `end`, `asyncStart`, `asyncEnd`, and `error` before those two where it rejects. All of
 * them have the same event.
 *
 * @example
 * ```ts
 * import { tracingChannel } from "node:diagnostics_channel";
 *
 * const ignore = (): void => {};
 * tracingChannel<unknown, AcquireEvent>("consul-semaphore:acquire").subscribe({
 *   start: ({ prefix }) => console.log("asks", prefix),
 *   asyncEnd: ({ prefix, session }) => console.log("got", prefix, session ?? "no slot"),
 *   ...{ end: ignore, asyncStart: ignore, error: ignore },
 * });
 * ```
 */
export interface AcquireEvent extends SemaphoreEvent {
  /** Which call it was. */
  readonly call: "acquire" | "tryAcquire" | "run";
  /** As {@link SemaphoreSlot.session}, once there is a slot. */
  session?: string;
  /** As {@link SemaphoreSlot.fencingToken}, once there is a slot. */
  fencingToken?: bigint;
  /** What it rejects with. */
  readonly error?: unknown;
}

/**
 * A wait. Tracing channel `consul-semaphore:wait`. In Consul it lasts from the contender entry on; a
 * slot that is free at once comes without one, unless the session is yours, and a waiter that loses
 * its place has another. In memory a run waits while as many others as there are slots contend.
 *
 * @example
 * ```ts
 * const wasAbandoned = ({ error }: WaitEvent) => error !== undefined;
 * ```
 */
export interface WaitEvent extends SemaphoreEvent {
  /** Where it waits. */
  readonly where: "consul" | "memory";
  /** The ID of the session that waits; none in memory. */
  readonly session?: string;
  /** Why it was given up, where it was. */
  readonly error?: unknown;
}

/**
 * A slot that is held, or was.
 *
 * @example
 * ```ts
 * const nameOf = ({ prefix, fencingToken }: SlotEvent) => `${prefix} ${fencingToken}`;
 * ```
 */
export interface SlotEvent extends SemaphoreEvent {
  /** As {@link SemaphoreSlot.session}. */
  readonly session: string;
  /** As {@link SemaphoreSlot.fencingToken}. */
  readonly fencingToken: bigint;
}

/**
 * The time for which a slot is held. Tracing channel `consul-semaphore:held`: `start` and `end` when
 * it begins, `asyncStart` and `asyncEnd` when the slot is lost or its release begins, and `error`
 * before those two where it is lost.
 *
 * @example
 * ```ts
 * const lastsOf = new WeakMap<HeldEvent, number>(); // from `start` to `asyncEnd`
 * ```
 */
export interface HeldEvent extends SlotEvent {
  /** How it was lost, where it was. */
  readonly error?: SemaphoreLostError;
}

/**
 * A slot has been lost. Channel `consul-semaphore:lost`.
 *
 * @example
 * ```ts
 * import { subscribe } from "node:diagnostics_channel";
 *
 * subscribe("consul-semaphore:lost", (event) => console.error("slot lost", event));
 * ```
 */
export interface LostEvent extends SlotEvent {
  /** How it was lost. */
  readonly error: SemaphoreLostError;
}

/**
 * A slot is given back, until Consul has it back. Tracing channel `consul-semaphore:release`.
 *
 * @example
 * ```ts
 * const failed = ({ error }: ReleaseEvent) => error !== undefined;
 * ```
 */
export interface ReleaseEvent extends SlotEvent {
  /** Why it could not be. */
  readonly error?: unknown;
}

/**
 * One try to renew a session. Tracing channel `consul-semaphore:renew`. Where there is no such session
 * any more, the try has not failed; the slot is lost, which `consul-semaphore:lost` reports.
 *
 * @example
 * ```ts
 * const failed = ({ error }: RenewEvent) => error !== undefined;
 * ```
 */
export interface RenewEvent {
  /** The ID of the session. */
  readonly session: string;
  /** Its TTL, in milliseconds. */
  readonly ttl: number;
  /** Why it failed. Another try follows, for as long as the TTL lasts. */
  readonly error?: unknown;
}

const named = <Event extends object>(name: string): TracingChannel<unknown, Event> =>
  tracingChannel(`consul-semaphore:${name}`);

export const acquireChannel = named<AcquireEvent>("acquire");
export const waitChannel = named<WaitEvent>("wait");
export const heldChannel = named<HeldEvent>("held");
export const releaseChannel = named<ReleaseEvent>("release");
export const renewChannel = named<RenewEvent>("renew");
const lostChannel = channel("consul-semaphore:lost");

/** What each event inherits: a subscriber may write it as JSON, which takes no bigint. */
const EVENT = {
  toJSON(this: object): object {
    return jsonFields(this);
  },
};

function inJson<Event extends object>(event: Event): Event {
  Object.setPrototypeOf(event, EVENT);
  return event;
}

/** Publishes a call, if anybody listens. */
export function traced<Event extends object, Result>(
  tracing: TracingChannel<unknown, Event>,
  event: Event,
  call: () => Promise<Result>,
): Promise<Result> {
  return tracing.hasSubscribers ? tracing.tracePromise(call, inJson(event)) : call();
}

/** Publishes a span that begins now, if anybody listens. The result ends it, with an error if given. */
export function tracedTime<Event extends object>(
  tracing: TracingChannel<unknown, Event>,
  event: Event,
): (error?: unknown) => void {
  if (!tracing.hasSubscribers) return () => undefined;
  tracing.start.publish(inJson(event));
  tracing.end.publish(event);
  return (error) => {
    if (error !== undefined) tracing.error.publish(Object.assign(event, { error }));
    tracing.asyncStart.publish(event);
    tracing.asyncEnd.publish(event);
  };
}

export function traceLoss(event: LostEvent): void {
  if (lostChannel.hasSubscribers) lostChannel.publish(inJson(event));
}
