import fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  afterEntry,
  afterLockRead,
  afterReading,
  freeSlots,
  type QueueView,
  UNREAD,
} from "../../../src/protocol/queue-view.js";
import type { ContenderEntry, Snapshot } from "../../../src/protocol/snapshot.js";
import { Transactions } from "../../../src/protocol/transactions.js";
import { Store } from "./store.js";

const LIMIT = 2;
const CONTENDERS = 5;

interface Deed {
  readonly what: "enter" | "join" | "leave" | "lose the entry";
  readonly who: number;
}

/** Something that a client asks Consul for; times are counted in deeds. */
interface Question {
  readonly about: "prefix" | "lock" | "entry";
  /** Whose entry, of those that it takes for waiters. */
  readonly which: number;
  readonly askedAt: number;
  readonly there: number;
  readonly back: number;
}

/** What there is in Consul after each of these deeds, as far as the rules allow them. */
function historyOf(deeds: readonly Deed[]): readonly Snapshot[] {
  const store = new Store();
  const transactions = new Transactions(store.keys);
  const sessions = Array.from({ length: CONTENDERS }, () => store.createSession());
  return deeds.map(({ what, who }) => {
    const contender = { session: sessions[who] ?? "", value: undefined };
    const known = store.snapshot();
    if (what === "enter") store.write(transactions.enter(contender));
    else if (what === "leave") store.write(transactions.leave(contender.session, known.lock));
    else if (what === "lose the entry") store.write([transactions.leaveQueue(contender.session)]);
    else if (freeSlots(known, LIMIT) > 0 && !known.lock.holders.has(contender.session)) {
      store.write(transactions.join(contender, known, LIMIT));
    }
    return store.snapshot();
  });
}

/** What there is in Consul at a time; after the last deed nothing changes any more. */
function momentAt(history: readonly Snapshot[], time: number): Snapshot {
  const moment = history[Math.min(time, history.length - 1)];
  if (moment === undefined) throw new RangeError(`no deed by ${time}`);
  return moment;
}

/** What a client knows after each answer. Answers may overtake each other. */
function viewsOf(
  history: readonly Snapshot[],
  questions: readonly Question[],
): readonly { readonly view: QueueView; readonly now: number }[] {
  let view = afterReading(UNREAD, momentAt(history, 0), { sentAt: 0, now: 0 });
  const views: { readonly view: QueueView; readonly now: number }[] = [];
  const events = questions.flatMap(({ about, which, askedAt: sentAt, there, back }) => {
    const now = sentAt + there + back;
    const moment = momentAt(history, sentAt + there);
    let watched: ContenderEntry | undefined;
    const ask = (): void => {
      watched = view.waiters[which % view.waiters.length];
    };
    const hear = (): void => {
      if (about === "prefix") view = afterReading(view, moment, { sentAt, now });
      else if (about === "lock") view = afterLockRead(view, moment.lock, { sentAt, now });
      else if (watched !== undefined) {
        const { session } = watched;
        const entry = moment.contenders.find((contender) => contender.session === session);
        view = afterEntry(view, watched, entry ?? null, now);
      }
      views.push({ view, now });
    };
    return [
      { at: sentAt, happens: ask },
      { at: now, happens: hear },
    ];
  });
  for (const { happens } of events.toSorted((a, b) => a.at - b.at)) happens();
  return views;
}

/** When each contender entry was made. */
function entryTimes(history: readonly Snapshot[]): ReadonlyMap<bigint, number> {
  const times = new Map<bigint, number>();
  for (const [time, { contenders }] of history.entries()) {
    for (const { createIndex } of contenders) {
      if (!times.has(createIndex)) times.set(createIndex, time);
    }
  }
  return times;
}

const waiting = ({ contenders, lock }: Snapshot): readonly ContenderEntry[] =>
  contenders.filter(({ session }) => !lock.holders.has(session));

const anyHistory = fc
  .array(
    fc.record<Deed>({
      what: fc.constantFrom("enter", "enter", "join", "join", "leave", "lose the entry"),
      who: fc.nat({ max: CONTENDERS - 1 }),
    }),
    { minLength: 10, maxLength: 40 },
  )
  .map(historyOf);

const anyQuestions = fc.array(
  fc.record<Question>({
    about: fc.constantFrom("prefix", "lock", "entry"),
    which: fc.nat({ max: 10 }),
    askedAt: fc.nat({ max: 40 }),
    there: fc.nat({ max: 8 }),
    back: fc.nat({ max: 8 }),
  }),
  { minLength: 5, maxLength: 40 },
);

describe("whatever is heard in whatever order,", { timeout: 60_000 }, () => {
  test("no holder is taken for a waiter", () => {
    fc.assert(
      fc.property(anyHistory, anyQuestions, (history, questions) => {
        for (const { view } of viewsOf(history, questions)) {
          const both = view.waiters.filter(({ session }) => view.lock.holders.has(session));
          expect(both).toEqual([]);
        }
      }),
    );
  });

  test("a newer lock is never given up for an older one", () => {
    fc.assert(
      fc.property(anyHistory, anyQuestions, (history, questions) => {
        let newest = 0n;
        for (const { view } of viewsOf(history, questions)) {
          expect(view.lock.modifyIndex).toBeGreaterThanOrEqual(newest);
          newest = view.lock.modifyIndex;
        }
      }),
    );
  });

  test("nobody is taken for a waiter whom the last reading has not shown", () => {
    fc.assert(
      fc.property(anyHistory, anyQuestions, (history, questions) => {
        for (const { view } of viewsOf(history, questions)) {
          const unknown = view.waiters.filter(
            (it) => !view.read.some(({ session }) => session === it.session),
          );
          expect(unknown).toEqual([]);
        }
      }),
    );
  });

  test("those that wait are known, but for those that came after the reading, or were passed", () => {
    fc.assert(
      fc.property(anyHistory, anyQuestions, (history, questions) => {
        const enteredAt = entryTimes(history);
        for (const { view, now } of viewsOf(history, questions)) {
          const truth = waiting(momentAt(history, now));
          const known = new Set(view.waiters.map(({ createIndex }) => createIndex));
          const unknown = truth.filter(
            ({ createIndex }) =>
              !known.has(createIndex) &&
              !view.passed.has(createIndex) &&
              createIndex >= (view.lastTurn?.createIndex ?? 0n) &&
              (enteredAt.get(createIndex) ?? 0) <= view.readAt,
          );
          expect(unknown).toEqual([]);
        }
      }),
    );
  });

  test("a reading that is asked for after all that shows things as they are", () => {
    fc.assert(
      fc.property(anyHistory, anyQuestions, (history, questions) => {
        const last = { about: "prefix", which: 0, askedAt: 100, there: 0, back: 0 } as const;
        const view = viewsOf(history, [...questions, last]).at(-1)?.view;
        const truth = momentAt(history, 100);
        const read = truth.contenders;
        const { lock, dead } = truth;
        expect(view).toMatchObject({ lock, dead, read, waiters: waiting(truth) });
      }),
    );
  });
});
