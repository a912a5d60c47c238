import { channel, tracingChannel, type TracingChannel } from "node:diagnostics_channel";

import type { SemaphoreLostError } from "./semaphore-errors.js";

/** Which semaphore an event is about. */
export interface SemaphoreEvent {
  readonly prefix: string;
  readonly limit: number;
}

/**
 * A call that asks for a slot, from the call to its end. Tracing channel `consul-semaphore:acquire`:
 * `start`, `end`, `asyncStart`, `asyncEnd`, and `error` before those two where it rejects.
 */
export interface AcquireEvent extends SemaphoreEvent {
  readonly call: "acquire" | "tryAcquire" | "run";
  /** Once there is a slot. */
  session?: string;
  /** Once there is a slot. */
  fencingToken?: bigint;
  /** What it rejects with. */
  readonly error?: unknown;
}

/**
 * A wait in the queue, from the contender entry on. Tracing channel `consul-semaphore:wait`; a slot
 * that is free at once comes without one, and one that loses its place has another.
 */
export interface WaitEvent extends SemaphoreEvent {
  readonly session: string;
  /** Why it was given up, where it was. */
  readonly error?: unknown;
}

/** A slot that is held, or was. */
export interface SlotEvent extends SemaphoreEvent {
  readonly session: string;
  readonly fencingToken: bigint;
}

/**
 * The time for which a slot is held. Tracing channel `consul-semaphore:held`: `start` and `end` when
 * it begins, `asyncStart` and `asyncEnd` when the slot is lost or its release begins, and `error`
 * before those two where it is lost.
 */
export interface HeldEvent extends SlotEvent {
  readonly error?: SemaphoreLostError;
}

/** A slot has been lost. Channel `consul-semaphore:lost`. */
export interface LostEvent extends SlotEvent {
  readonly error: SemaphoreLostError;
}

/** A slot is given back. Tracing channel `consul-semaphore:release`. */
export interface ReleaseEvent extends SlotEvent {
  /** Why it could not be, yet. */
  readonly error?: unknown;
}

/** One try to renew a session. Tracing channel `consul-semaphore:renew`. */
export interface RenewEvent {
  readonly session: string;
  /** Of the session, in milliseconds. */
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

/** Tells of a call, if anybody listens. */
export function traced<Event extends object, Result>(
  tracing: TracingChannel<unknown, Event>,
  event: Event,
  call: () => Promise<Result>,
): Promise<Result> {
  return tracing.hasSubscribers ? tracing.tracePromise(call, event) : call();
}

/** Tells of a time that begins now, if anybody listens. The result ends it; `error`: why, if badly. */
export function tracedTime<Event extends object>(
  tracing: TracingChannel<unknown, Event>,
  event: Event,
): (error?: unknown) => void {
  if (!tracing.hasSubscribers) return () => undefined;
  tracing.start.publish(event);
  tracing.end.publish(event);
  return (error) => {
    if (error !== undefined) tracing.error.publish(Object.assign(event, { error }));
    tracing.asyncStart.publish(event);
    tracing.asyncEnd.publish(event);
  };
}

export function tellOfLoss(event: LostEvent): void {
  if (lostChannel.hasSubscribers) lostChannel.publish(event);
}
