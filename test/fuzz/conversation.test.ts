// Over HTTP, with a Consul that answers as it should: now and then somebody else does in its place,
// an answer is cut short, or a connection breaks, before or after Consul has done what it was asked for.
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";

import {
  ConsulClient,
  ConsulError,
  SemaphoreError,
  type Semaphore,
  type SemaphoreSlot,
} from "../../src/index.js";
import { FakeConsul } from "../../src/testing/fake-consul/fake-consul.js";
import { globalClock } from "../../src/testing/global-clock.js";
import { PAGES } from "../sim/link-fault.js";
import { readWrittenLock } from "../sim/lock-entry.js";
import { pause } from "../sim/pause.js";
import { fuzzAnswers, fuzzSeed } from "./extent.js";
import { Gateway, type Mishap } from "./gateway.js";

/** Worlds that go on side by side, and how many times that many there are. */
const WORLDS = 40;
const ROUNDS = Math.ceil(fuzzAnswers / 2_000);
const PREFIX = "fuzz";
const LIMIT = 2;
const CLIENTS = 2;
/** The fake Consul allows what no agent does by default. */
const TTL_MS = 3_000;
/** All else takes a fraction of that. A step that cannot succeed is tried for 15 s. */
const SETTLES_WITHIN_MS = 90_000;
/** What cannot be taken away goes with its session. */
const TIDY_WITHIN_MS = 3 * TTL_MS;
const CHECK_EVERY_MS = 2;

interface Turn {
  readonly kind: "acquire" | "tryAcquire" | "run";
  readonly rest: number;
  readonly hold: number;
  readonly patience: number;
}

interface Contender {
  /** Whether it brings a session along, which lives on, and with it what is left behind. */
  readonly hasSession: boolean;
  readonly turns: readonly Turn[];
}

interface Plan {
  readonly mishaps: readonly (Mishap | undefined)[];
  /** Of each client. */
  readonly contenders: readonly (readonly Contender[])[];
}

const mishaps: fc.Arbitrary<Mishap> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("page" as const),
      isPassedOn: fc.boolean(),
      page: fc.constantFrom(...PAGES),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("cut" as const), isPassedOn: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("truncated" as const, "cut in the midst" as const),
      share: fc.double({ min: 0, max: 0.99, noNaN: true }),
    }),
  },
);

const turns: fc.Arbitrary<Turn> = fc.record({
  kind: fc.constantFrom("acquire", "tryAcquire", "run"),
  rest: fc.nat(100),
  hold: fc.oneof(fc.nat(30), fc.constant(500)),
  // The longest is enough for any machine.
  patience: fc.constantFrom(20, 100, 300, 30_000),
});

const contenders: fc.Arbitrary<Contender> = fc.record({
  hasSession: fc.boolean(),
  turns: fc.array(turns, { minLength: 1, maxLength: 3 }),
});

const plans: fc.Arbitrary<Plan> = fc.record({
  mishaps: fc.array(fc.option(mishaps, { nil: undefined, freq: 2 }), {
    minLength: 20,
    maxLength: 80,
    size: "max",
  }),
  contenders: fc.array(fc.array(contenders, { minLength: 2, maxLength: 2 }), {
    minLength: CLIENTS,
    maxLength: CLIENTS,
  }),
});

class World {
  readonly #plan: Plan;
  readonly #consul = new FakeConsul({
    clock: globalClock,
    shortestTtl: TTL_MS,
    sessionLifetime: (ttl) => ttl,
  });
  readonly #gateway: Gateway;
  readonly #slots = new Set<SemaphoreSlot>();
  readonly #ownSessions = new Set<string>();
  acquisitions = 0;
  #problem: string | undefined;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#gateway = new Gateway(this.#consul.carrier, plan.mishaps);
  }

  get mishaps(): number {
    return this.#gateway.mishaps;
  }

  async play(): Promise<void> {
    const address = await this.#gateway.listen();
    const checks = setInterval(() => {
      this.#check();
    }, CHECK_EVERY_MS);
    const clients = this.#plan.contenders.map(() => new ConsulClient({ address }));
    const work = clients.flatMap((client, index) =>
      (this.#plan.contenders[index] ?? []).map((plan) => this.#contend(client, plan)),
    );
    await within(SETTLES_WITHIN_MS, "its calls", Promise.all(work));
    this.#gateway.heal();
    await within(SETTLES_WITHIN_MS, "close", Promise.all(clients.map((client) => client.close())));
    await within(SETTLES_WITHIN_MS, "their connections", this.#gateway.close());
    clearInterval(checks);
    const tidyUntil = performance.now() + TIDY_WITHIN_MS;
    while (this.#leftBehind().length > 0 && performance.now() < tidyUntil) await pause(50);
    this.#consul.dispose();
    expect(this.#problem).toBeUndefined();
    expect(this.#leftBehind()).toEqual([]);
  }

  async #contend(client: ConsulClient, { hasSession, turns: plan }: Contender): Promise<void> {
    const options = { prefix: PREFIX, limit: LIMIT, sessionTTL: TTL_MS };
    const semaphore = client.semaphoreOpts(
      hasSession ? { ...options, session: await this.#session() } : options,
    );
    for (const turn of plan) {
      await pause(turn.rest);
      await this.#takeTurn(semaphore, turn);
    }
  }

  /** One without a TTL, made past the gateway. */
  #session(): Promise<string> {
    const body = JSON.stringify({ Behavior: "delete", LockDelay: "0s" });
    return new Promise((resolve, reject) => {
      this.#consul.carrier(
        { method: "PUT", path: "/v1/session/create", body },
        {
          response: (response) => {
            const [, id = ""] = /"ID":\s*"([^"]+)"/.exec(response.body) ?? [];
            this.#ownSessions.add(id);
            resolve(id);
          },
          error: reject,
        },
      );
    });
  }

  async #takeTurn(semaphore: Semaphore, { kind, hold, patience }: Turn): Promise<void> {
    const signal = AbortSignal.timeout(patience);
    try {
      if (kind === "run") {
        await semaphore.run((slot) => this.#hold(slot, hold), signal);
        return;
      }
      const slot = await semaphore[kind](signal);
      if (slot === null) return;
      await this.#hold(slot, hold);
      await semaphore.release();
    } catch (error) {
      const isOurs = error instanceof SemaphoreError || error instanceof ConsulError;
      if (!isOurs && error !== signal.reason) this.#fail(`${kind} fails with ${String(error)}`);
    }
  }

  async #hold(slot: SemaphoreSlot, ms: number): Promise<void> {
    this.acquisitions += 1;
    this.#slots.add(slot);
    this.#check();
    await pause(ms, slot.signal);
    this.#slots.delete(slot);
  }

  /** Whoever takes a slot for its own has it. */
  #check(): void {
    const live = [...this.#slots].filter((slot) => slot.held);
    if (live.length > LIMIT) this.#fail(`${live.length} holders`);
    const alive = new Set(this.#consul.sessions.map(({ id }) => id));
    const holders = this.#holders();
    for (const { session } of live) {
      if (!holders.has(session) || !alive.has(session)) this.#fail(`${session} is no holder`);
    }
  }

  #holders(): ReadonlySet<string> {
    const lock = this.#consul.entries.find(({ key }) => key === `${PREFIX}/.lock`);
    return (lock === undefined ? undefined : readWrittenLock(lock)?.holders) ?? new Set();
  }

  /** What there is in Consul once nobody wants anything of it. */
  #leftBehind(): readonly string[] {
    const contending = this.#consul.entries.filter(({ session }) => session !== null);
    const sessions = this.#consul.sessions.map(({ id }) => id);
    return [
      ...contending.map(({ key }) => key),
      ...sessions.filter((id) => !this.#ownSessions.has(id)),
      // One that is dead counts no longer.
      ...[...this.#holders()].filter((session) => sessions.includes(session)),
    ];
  }

  #fail(problem: string): void {
    this.#problem ??= problem;
  }
}

async function within(ms: number, what: string, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${what} have not settled within ${ms} ms`));
    }, ms);
  });
  await Promise.race([promise, late]);
  clearTimeout(timer);
}

test(
  `${WORLDS * ROUNDS} conversations that others break into keep every promise`,
  { timeout: 600_000 },
  async () => {
    const rejections: unknown[] = [];
    const onRejection = (reason: unknown): void => {
      rejections.push(reason);
    };
    process.on("unhandledRejection", onRejection);
    onTestFinished(() => {
      process.off("unhandledRejection", onRejection);
    });
    const total = { mishaps: 0, acquisitions: 0 };
    await fc.assert(
      fc.asyncProperty(fc.tuple(...Array.from({ length: WORLDS }, () => plans)), async (some) => {
        const worlds = some.map((plan) => new World(plan));
        await Promise.all(worlds.map((world) => world.play()));
        for (const { mishaps: count, acquisitions } of worlds) {
          total.mishaps += count;
          total.acquisitions += acquisitions;
        }
      }),
      { numRuns: ROUNDS, seed: fuzzSeed, endOnFailure: true },
    );
    expect(rejections).toEqual([]);
    expect(total.mishaps).toBeGreaterThan(10 * WORLDS * ROUNDS);
    expect(total.acquisitions).toBeGreaterThan(WORLDS * ROUNDS);
  },
);
