// Whatever comes in place of Consul's answers: a semaphore never takes a slot for its own that it
// has not, fails with an error of the library's, and comes to an end.
import fc from "fast-check";
import { expect, test } from "vitest";

import {
  ConsulClient,
  ConsulError,
  SemaphoreError,
  type Semaphore,
  type SemaphoreSlot,
} from "../../src/index.js";
import { CarriedDispatcher } from "../../src/testing/fake-consul/carried-dispatcher.js";
import { FakeConsul } from "../../src/testing/fake-consul/fake-consul.js";
import { readWrittenLock } from "../sim/lock-entry.js";
import { pause } from "../sim/pause.js";
import { Random } from "../sim/prng.js";
import { SimulatedProcess } from "../sim/simulated-process.js";
import { VirtualTime } from "../sim/virtual-time.js";
import { fuzzAnswers, fuzzSeed } from "./extent.js";
import { strangeAnswers } from "./strange-answers.js";
import { StrangeServer, type Fate } from "./strange-server.js";

/** Each takes more answers than that. */
const RUNS = Math.ceil(fuzzAnswers / 33);
const PREFIX = "fuzz";
const LIMIT = 2;
const CONTENDERS = 4;

/** How long a turn may take once all answers are Consul's again. */
const HANGS_AFTER_MS = 2 * 60 * 60_000;
/** What cannot be cleared away goes with its session. */
const TIDY_AFTER_MS = 60_000;

interface TurnPlan {
  readonly kind: "acquire" | "tryAcquire" | "run" | "inspect" | "destroy";
  readonly rest: number;
  readonly hold: number;
  /** After this time it is given up, if it is not over by then. */
  readonly patience: number;
}

interface Plan {
  readonly seed: number;
  /** `undefined`: Consul answers. */
  readonly fates: readonly (Fate | undefined)[];
  readonly contenders: readonly (readonly TurnPlan[])[];
}

const fates: fc.Arbitrary<Fate> = fc.record({
  served: fc.boolean(),
  answer: fc.oneof(
    { weight: 10, arbitrary: strangeAnswers },
    { weight: 1, arbitrary: fc.constantFrom("silence" as const, "reset" as const) },
  ),
  delay: fc.constantFrom(0, 1, 50, 20_000),
});

const turns: fc.Arbitrary<TurnPlan> = fc.record({
  kind: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom<TurnPlan["kind"]>("acquire", "tryAcquire", "run") },
    { weight: 1, arbitrary: fc.constantFrom<TurnPlan["kind"]>("inspect", "destroy") },
  ),
  rest: fc.nat(3_000),
  // Some longer than a TTL, which is 15 s.
  hold: fc.oneof(fc.nat(5_000), fc.constant(40_000)),
  patience: fc.constantFrom(50, 5_000, 60_000, 600_000),
});

const plans: fc.Arbitrary<Plan> = fc.record({
  seed: fc.nat(),
  fates: fc.array(fc.option(fates, { nil: undefined, freq: 2 }), {
    minLength: 150,
    maxLength: 300,
    size: "max",
  }),
  contenders: fc.array(fc.array(turns, { minLength: 3, maxLength: 6 }), {
    minLength: CONTENDERS,
    maxLength: CONTENDERS,
  }),
});

interface Tally {
  /** Strange ones. */
  readonly answers: number;
  readonly acquisitions: number;
}

/** One run of a plan. */
class Scene {
  readonly #plan: Plan;
  readonly #time: VirtualTime;
  /** By the world's clock: what is asked of a slot between two turns is asked by that one. */
  readonly #process = new SimulatedProcess("fuzz", 0);
  readonly #consul: FakeConsul;
  readonly #server: StrangeServer;
  readonly #slots = new Set<SemaphoreSlot>();
  #working = CONTENDERS;
  #acquisitions = 0;
  #isClosed = false;
  #problem: Error | undefined;

  constructor(plan: Plan) {
    this.#plan = plan;
    const random = new Random(plan.seed);
    this.#time = new VirtualTime(random.fork());
    this.#consul = new FakeConsul({
      clock: this.#time,
      random: () => random.next(),
      sessionLifetime: (ttl) => ttl,
    });
    this.#server = new StrangeServer(this.#time, this.#process, this.#consul.carrier, plan.fates);
  }

  /** Resolves to how much there was of what matters. */
  async play(): Promise<Tally> {
    const restore = this.#time.install();
    try {
      this.#start();
      await this.#until(() => this.#isClosed);
      if (!this.#isClosed) this.#fail("it hangs");
      await this.#time.runUntil(this.#time.now() + TIDY_AFTER_MS, () => true);
      const timers = this.#time.pending().filter(({ owner }) => owner === this.#process).length;
      if (timers > 0) this.#fail(`it leaves ${timers} timers behind`);
      if (this.#server.underWay > 0) this.#fail("it leaves requests behind");
      if (this.#consul.sessions.length > 0) this.#fail("it leaves sessions behind");
    } finally {
      this.#consul.dispose();
      restore();
    }
    if (this.#problem !== undefined) throw this.#problem;
    return { answers: this.#server.answers, acquisitions: this.#acquisitions };
  }

  async #until(isDone: () => boolean): Promise<void> {
    await this.#time.runUntil(HANGS_AFTER_MS, () => {
      this.#check();
      return !isDone() && this.#problem === undefined;
    });
  }

  #start(): void {
    this.#time.deliver(this.#process, 0, () => {
      const dispatcher = new CarriedDispatcher(this.#server.carrier);
      const client = new ConsulClient({ address: "127.0.0.1:8500", dispatcher });
      for (const contender of this.#plan.contenders) void this.#contend(client, contender);
    });
  }

  async #contend(client: ConsulClient, plan: readonly TurnPlan[]): Promise<void> {
    for (const turn of plan) {
      await pause(turn.rest);
      await this.#takeTurn(client.semaphorePrefix(PREFIX, LIMIT), turn);
    }
    this.#working -= 1;
    if (this.#working > 0) return;
    await client.close();
    this.#isClosed = true;
  }

  async #takeTurn(semaphore: Semaphore, { kind, hold, patience }: TurnPlan): Promise<void> {
    const giveUp = new AbortController();
    const reason = new Error("given up");
    const timer = setTimeout(() => {
      giveUp.abort(reason);
    }, patience);
    try {
      if (kind === "inspect") await semaphore.inspect();
      else if (kind === "destroy") await semaphore.destroy();
      else if (kind === "run") await semaphore.run((slot) => this.#hold(slot, hold), giveUp.signal);
      else {
        const slot = await semaphore[kind](giveUp.signal);
        if (slot !== null) await this.#hold(slot, hold);
        if (slot !== null) await semaphore.release();
      }
    } catch (error) {
      const isOurs = error instanceof SemaphoreError || error instanceof ConsulError;
      if (!isOurs && error !== reason) this.#fail(`${kind} fails with ${String(error)}`);
    } finally {
      clearTimeout(timer);
    }
  }

  async #hold(slot: SemaphoreSlot, ms: number): Promise<void> {
    this.#acquisitions += 1;
    this.#slots.add(slot);
    this.#check();
    const lock = this.#lock();
    if (slot.fencingToken > (lock?.modifyIndex ?? 0n)) this.#fail("a fencing token of the future");
    await pause(ms, slot.signal);
    this.#slots.delete(slot);
  }

  /** Whoever takes a slot for its own has it. */
  #check(): void {
    const live = [...this.#slots].filter((slot) => slot.held);
    const lock = this.#lock();
    const holders = (lock === undefined ? undefined : readWrittenLock(lock)?.holders) ?? new Set();
    for (const { session } of live) {
      const isAlive = this.#consul.sessions.some(({ id }) => id === session);
      if (!holders.has(session) || !isAlive) this.#fail(`${session} is no holder`);
    }
    if (live.length > LIMIT) this.#fail(`${live.length} holders`);
  }

  #lock(): FakeConsul["entries"][number] | undefined {
    return this.#consul.entries.find(({ key }) => key === `${PREFIX}/.lock`);
  }

  #fail(problem: string): void {
    this.#problem ??= new Error(`${problem} (at ${this.#time.now()} ms)`);
  }
}

test(
  `${fuzzAnswers} answers of any kind give nobody a slot that it has not`,
  { timeout: 300_000 },
  async () => {
    const total = { answers: 0, acquisitions: 0 };
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        const { answers, acquisitions } = await new Scene(plan).play();
        total.answers += answers;
        total.acquisitions += acquisitions;
      }),
      { numRuns: RUNS, seed: fuzzSeed, endOnFailure: true },
    );
    expect(total.answers).toBeGreaterThanOrEqual(fuzzAnswers);
    // In the midst of it, and after.
    expect(total.acquisitions).toBeGreaterThan(2 * RUNS);
  },
);
