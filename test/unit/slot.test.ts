import { inspect } from "node:util";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { SemaphoreLostError, SemaphoreReleasedError, withPrefix } from "../../src/errors.js";
import { HeldSlot } from "../../src/slot.js";
import { SessionLease } from "../../src/session/lease.js";
import { Watchdogs } from "../../src/session/watchdog.js";
import { FakeSessions, SESSION } from "./session/fake-sessions.js";

const TTL = 15_000;
const PREFIX = "jobs/resize";

let sessions: FakeSessions;
let lease: SessionLease;

/** How far the clock is ahead of the timers: the event loop was blocked for so long. */
let blockedFor: number;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  blockedFor = 0;
  ended.mockReset();
  const now = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => now() + blockedFor);
  sessions = new FakeSessions();
  const term = { sentAt: performance.now(), ttl: TTL };
  const watchdogs = new Watchdogs();
  lease = new SessionLease(sessions, { id: SESSION, term, watchdogs, own: true, scope: {} });
});

afterEach(() => {
  lease.stop();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const ended = vi.fn();

const held = (release: () => Promise<void> = () => Promise.resolve()): HeldSlot =>
  new HeldSlot(lease, 12n, { prefix: PREFIX, limit: 3, release, ended });

test("tells its session and its fencing token", () => {
  expect(held()).toMatchObject({ session: SESSION, fencingToken: 12n, held: true });
});

test("is lost when its session's term is over, and says so by its signal", () => {
  const slot = held();
  const { signal } = slot;
  vi.advanceTimersByTime(TTL - 1);
  expect(slot.held).toBe(true);
  vi.advanceTimersByTime(1);
  expect(signal.aborted).toBe(true);
  expect(signal.reason).toMatchObject({ reason: "session-expired", prefix: PREFIX });
  expect(slot.held).toBe(false);
  expect(slot.loss()).toBe(signal.reason);
});

test("tells once how it has ended", () => {
  const slot = held();
  expect(ended).not.toHaveBeenCalled();
  const loss = withPrefix(new SemaphoreLostError("holder-removed"), PREFIX);
  slot.end(loss);
  slot.end(new SemaphoreReleasedError());
  vi.advanceTimersByTime(TTL);
  expect(ended.mock.calls).toEqual([[loss]]);
});

test("tells it too where its session has", () => {
  const slot = held();
  vi.advanceTimersByTime(TTL);
  slot.end(new SemaphoreReleasedError());
  expect(ended.mock.calls).toEqual([[slot.loss()]]);
  expect(slot.loss()).toMatchObject({ reason: "session-expired", prefix: PREFIX });
});

test.each<[string, (slot: HeldSlot) => boolean]>([
  ["held", (slot) => !slot.held],
  ["signal", (slot) => slot.signal.aborted],
  ["loss", (slot) => slot.loss()?.reason === "session-expired"],
])("is lost by the clock, even if no timer has had time to say so: %s", (_, isLost) => {
  const slot = held();
  const before = slot.signal;
  blockedFor = TTL - 1;
  expect(isLost(slot)).toBe(false);
  blockedFor = TTL;
  expect(before.aborted).toBe(false);
  expect(isLost(slot)).toBe(true);
  // Whoever had the signal from before hears of it at the same moment.
  expect(before.aborted).toBe(true);
  expect(before.reason).toBeInstanceOf(SemaphoreLostError);
});

test("that was lost stays lost, for the first reason", () => {
  const slot = held();
  const loss = withPrefix(new SemaphoreLostError("holder-removed"), PREFIX);
  slot.end(loss);
  expect(slot.held).toBe(false);
  slot.end(new SemaphoreReleasedError());
  blockedFor = TTL;
  expect(slot.signal.reason).toBe(loss);
  expect(slot.loss()).toBe(loss);
});

test("does not hear of its session any more once it has been released", () => {
  const slot = held();
  const released = withPrefix(new SemaphoreReleasedError(), PREFIX);
  slot.end(released);
  vi.advanceTimersByTime(TTL);
  expect(lease.lost.aborted).toBe(true);
  expect(slot.signal.reason).toBe(released);
  expect(slot.loss()).toBeUndefined();
  expect(slot.held).toBe(false);
});

test("leaves nothing on its session once it has been released", () => {
  const off = vi.fn();
  vi.spyOn(lease.lost, "onAbort").mockReturnValue(off);
  held().end(new SemaphoreReleasedError());
  expect(off).toHaveBeenCalledOnce();
});

test("of a session that is lost already is lost from the start", () => {
  vi.advanceTimersByTime(TTL);
  const slot = held();
  expect(slot.held).toBe(false);
  expect(slot.loss()).toMatchObject({ reason: "session-expired", prefix: PREFIX });
});

test("is released once, however often that is asked for", async () => {
  const release = vi.fn(() => Promise.resolve());
  const slot = held(release);
  await slot.release();
  await slot[Symbol.asyncDispose]();
  expect(release).toHaveBeenCalledTimes(1);
});

test("shows in JSON and on the console what it is", () => {
  const slot = held();
  expect(JSON.parse(JSON.stringify({ slot }))).toEqual({
    slot: { prefix: PREFIX, limit: 3, session: SESSION, fencingToken: "12", held: true },
  });
  expect(inspect(slot, { breakLength: Infinity })).toBe(
    `SemaphoreSlot { prefix: '${PREFIX}', limit: 3, session: '${SESSION}', fencingToken: 12n, held: true }`,
  );
  vi.advanceTimersByTime(TTL);
  expect(JSON.stringify(slot)).toContain('"held":false');
  expect(inspect(slot)).toContain("held: false");
  expect(Object.keys(slot)).toEqual(["fencingToken"]);
});
