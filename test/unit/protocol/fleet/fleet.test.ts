import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { Client, type Manner, type Plan } from "./client.js";
import { SharedPrefix } from "./shared-prefix.js";
import { Timeline } from "./timeline.js";

const TEN_MINUTES = 600_000;

interface Fleet {
  readonly limit: number;
  readonly plans: readonly Plan[];
}

/** Fleets whose clients behave in one of these ways, or as they should. */
function anyFleet({
  limit = 3,
  longestDelay,
  manners,
  tails = true,
}: {
  readonly limit?: number;
  /** Whether some of them enter as the tail, as behind a long queue. */
  readonly tails?: boolean;
  readonly longestDelay: number;
  readonly manners: readonly Manner[];
}): fc.Arbitrary<Fleet> {
  const question = fc.record({
    what: fc.constantFrom("prefix" as const, "lock" as const),
    at: fc.nat({ max: 1_000 }),
  });
  const plan = fc.record({
    manner: fc.constantFrom<Manner>("as it should", ...manners),
    entersAsTail: tails ? fc.boolean() : fc.constant(false),
    arrivesAt: fc.nat({ max: 400 }),
    staysFor: fc.nat({ max: 600 }),
    delays: fc.array(fc.integer({ min: 1, max: longestDelay }), { minLength: 1, maxLength: 20 }),
    asks: fc.array(question, { maxLength: 3 }),
  });
  return fc.record({
    limit: fc.integer({ min: 1, max: limit }),
    plans: fc.array(plan, { minLength: 1, maxLength: 7 }),
  });
}

/** Lets all of them come, wait, hold and leave. */
function play({ limit, plans }: Fleet): SharedPrefix {
  const time = new Timeline();
  const prefix = new SharedPrefix(time, limit);
  const clients = plans.map((plan) => new Client(prefix, plan));
  for (const client of clients) time.start(client.live());
  time.run(TEN_MINUTES);
  const joined = new Set(prefix.joins.map(({ session }) => session));
  for (const { session, manner } of clients) {
    if (manner === "gives up waiting" || manner === "hangs for ever") continue;
    expect(joined, `the client that ${manner}`).toContain(session);
  }
  return prefix;
}

const always = (fleets: fc.Arbitrary<Fleet>, check: (prefix: SharedPrefix) => void): void => {
  fc.assert(
    fc.property(fleets, (fleet) => {
      // More holders than the limit allows, or a client without a slot, fail by themselves.
      check(play(fleet));
    }),
    { numRuns: 150 },
  );
};

const ANY_MANNER: readonly Manner[] = [
  "takes a slot at once if it may",
  "does not hear of its first swap",
  "does not touch its entry",
  "gives up waiting",
  "hangs for some seconds",
  "hangs for ever",
  "dies as a holder",
];

describe("a fleet of clients that go by the protocol", { timeout: 60_000 }, () => {
  test.each([5, 2_000])(
    "never has too many holders, gives everybody a slot, and leaves nothing behind (messages take up to %d ms)",
    (longestDelay) => {
      always(anyFleet({ longestDelay, manners: ANY_MANNER }), ({ store, hanging }) => {
        const { lock, dead, contenders } = store.snapshot();
        expect([...lock.holders].filter((session) => !dead.has(session))).toEqual([]);
        expect(new Set(contenders.map(({ session }) => session))).toEqual(hanging);
      });
    },
  );

  test("has its one slot in the order of arrival, while messages take less than the patience", () => {
    const manners: readonly Manner[] = ["gives up waiting", "does not hear of its first swap"];
    // Two in a row that give up look like two that have had their turns.
    const fleets = anyFleet({ limit: 1, longestDelay: 20, manners }).filter(
      ({ plans }) => plans.filter(({ manner }) => manner === "gives up waiting").length < 2,
    );
    always(fleets, ({ joins }) => {
      expect(joins.filter(({ ahead }) => ahead > 0)).toEqual([]);
    });
  });

  test("leaves no slot free for long while somebody waits", () => {
    always(anyFleet({ longestDelay: 20, manners: [] }), ({ longestIdle }) => {
      expect(longestIdle).toBeLessThan(400);
    });
  });

  test("takes the slot of a dead holder within a second", () => {
    const manners: readonly Manner[] = ["dies as a holder"];
    always(anyFleet({ longestDelay: 5, manners }), ({ longestIdle }) => {
      expect(longestIdle).toBeLessThan(1_000);
    });
  });

  test("is held up only for some time by those that do not touch their entries", () => {
    const manners: readonly Manner[] = ["does not touch its entry"];
    always(anyFleet({ longestDelay: 5, manners }), ({ longestIdle }) => {
      expect(longestIdle).toBeLessThan(1_000);
    });
  });

  test.each([
    // The last of seven looks every 1.8 s at the latest, and is patient for less than a second then.
    { tails: false, atMost: 3_000 },
    // One that knows only who is right ahead looks twice, with 2 s or more in between.
    { tails: true, atMost: 8_000 },
  ])("is held up only for some seconds by those that hang ($tails)", ({ tails, atMost }) => {
    const manners: readonly Manner[] = ["hangs for some seconds", "hangs for ever"];
    always(anyFleet({ longestDelay: 5, manners, tails }), ({ longestIdle }) => {
      expect(longestIdle).toBeLessThan(atMost);
    });
  });
});
