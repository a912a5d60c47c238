import { SemaphoreLostError, type Semaphore, type SemaphoreSlot } from "../../src/index.js";
import type { CallChecks } from "./call-checks.js";
import { CalledOff } from "./called-off.js";
import { pause } from "./pause.js";
import type { Random } from "./prng.js";
import type { Tenure } from "./tenure.js";
import type { World } from "./world.js";

const MOST_RUNS = 12;

/** Many runs have to share the slots: none holds its own for longer. */
const LONGEST_HOLD_MS = 6_000;

interface RunOptions {
  readonly abortAfter?: number | undefined;
  readonly timeout?: number | undefined;
  readonly longestHold?: number;
}

type Hold = (tenure: Tenure, longest?: number) => Promise<void>;

/** The runs of one user on its semaphore, one or several at once. */
export class ConcurrentRuns {
  readonly #world: World;
  readonly #checks: CallChecks;
  readonly #random: Random;
  readonly #hold: Hold;

  constructor(world: World, checks: CallChecks, random: Random, hold: Hold) {
    this.#world = world;
    this.#checks = checks;
    this.#random = random;
    this.#hold = hold;
  }

  /**
   * Several at once or shortly after one another, some of which give up. Now and then, each of the
   * other calls is made beside them.
   */
  async several(semaphore: Semaphore, others: readonly (() => Promise<void>)[]): Promise<void> {
    const random = this.#random;
    const count = random.whole(2, random.whole(2, MOST_RUNS));
    const spread = random.pick([0, 0, 100, 1_000]);
    const runs = Array.from(
      { length: count },
      () => () => this.one(semaphore, this.#drawOptions()),
    );
    const beside = others.filter(() => random.chance(0.3));
    await Promise.all(
      [...runs, ...beside].map(async (call) => {
        await pause(random.between(0, spread));
        await call();
      }),
    );
  }

  async one(
    semaphore: Semaphore,
    { abortAfter, timeout, longestHold }: RunOptions = {},
  ): Promise<void> {
    const giveUp = new AbortController();
    const reason = new CalledOff();
    let abortedAt: number | undefined;
    const attempt = this.#checks.begin({ waitTime: timeout });
    const abort = (): void => {
      attempt.givenUp = true;
      abortedAt = this.#world.time.now();
      giveUp.abort(reason);
    };
    const timer = abortAfter === undefined ? undefined : setTimeout(abort, abortAfter);
    let tenure: Tenure | undefined;
    let releasedAt = 0;
    const work = async (slot: SemaphoreSlot): Promise<void> => {
      clearTimeout(timer);
      this.#world.ledger.end(attempt);
      tenure = this.#checks.acquired(attempt, slot);
      await this.#hold(tenure, longestHold);
      tenure.releaseBegun = true;
      releasedAt = this.#world.time.now();
    };
    try {
      await semaphore.run(work, { signal: giveUp.signal, timeout });
      if (tenure !== undefined) this.#checks.gone(tenure, releasedAt);
    } catch (error) {
      this.#checks.trace(`run rejects: ${String(error)}`);
      if (error === reason) this.#checks.calledOff(abortedAt);
      else if (tenure === undefined) this.#checks.refused(attempt, error);
      else if (error instanceof SemaphoreLostError) this.#world.tally.add("outcome run lost");
      else this.#checks.troubled(error, []);
    } finally {
      clearTimeout(timer);
      this.#world.ledger.end(attempt);
    }
  }

  #drawOptions(): RunOptions {
    const random = this.#random;
    const patience = (): number =>
      random.pick([0, random.between(0, 20), random.exponential(3_000)]);
    return {
      abortAfter: random.chance(0.2) ? patience() : undefined,
      timeout: random.chance(0.15) ? patience() : undefined,
      longestHold: random.pick([0, 20, LONGEST_HOLD_MS, LONGEST_HOLD_MS]),
    };
  }
}
