import { GoClient } from "./go-client.js";
import { GoSemaphore, type GoHolding } from "./go-semaphore.js";
import { Link } from "./link.js";
import { pause } from "./pause.js";
import type { Random } from "./prng.js";
import { PREFIX, type BargerPlan } from "./scenario.js";
import { SimulatedProcess } from "./simulated-process.js";
import type { World } from "./world.js";

const AFTER_FAILURE_MS = 1_000;

/**
 * A machine with a program in Go, which barges into the queue. The weather spares its link: Go's
 * client has no promise to keep where the network is silent.
 */
export class Barger {
  readonly plan: BargerPlan;
  readonly link: Link;
  readonly process: SimulatedProcess;
  readonly #world: World;
  readonly #random: Random;
  #isDone = false;

  constructor(world: World, plan: BargerPlan, random: Random) {
    this.plan = plan;
    this.#world = world;
    this.#random = random;
    this.link = new Link(world.time, world.consul.carrier, random.fork(), world);
    this.process = new SimulatedProcess(`${plan.name}#1`, random.between(0, 1_000_000));
  }

  get isDone(): boolean {
    return this.#isDone || this.process.state === "killed";
  }

  start(): void {
    const { time, trace, tally } = this.#world;
    const { process, plan } = this;
    time.deliver(process, this.#random.between(0, 1_000), () => {
      trace.add(process.name, "starts, a program in Go");
      void this.#work();
    });
    if (plan.diesAt === undefined) return;
    time.after(plan.diesAt, () => {
      trace.add(process.name, "is killed");
      tally.add("fault barger killed");
      process.kill();
    });
  }

  async #work(): Promise<void> {
    const { plan, process } = this;
    const semaphore = new GoSemaphore(new GoClient(this.link.carrierFor(process)), {
      prefix: PREFIX,
      limit: this.#world.scenario.limit,
      value: plan.name,
      sessionName: process.name,
      ttl: plan.ttl,
    });
    for (;;) {
      await pause(this.#random.exponential(plan.rest));
      if (this.#world.windsDown) break;
      await this.#takeTurn(semaphore);
    }
    this.#isDone = true;
  }

  async #takeTurn(semaphore: GoSemaphore): Promise<void> {
    const { tally } = this.#world;
    try {
      const holding = await this.#acquire(semaphore);
      await this.#hold(holding);
      this.#world.ledger.goHoldings.delete(holding);
      await semaphore.release(holding);
      tally.add("barger released");
    } catch (error) {
      // An election, say: Go's client does not ride it out.
      tally.add("barger failed");
      this.#world.trace.add(this.process.name, `failed: ${String(error)}`);
      await pause(AFTER_FAILURE_MS);
    }
  }

  async #acquire(semaphore: GoSemaphore): Promise<GoHolding> {
    const { ledger, time, trace, tally } = this.#world;
    const attempt = ledger.begin(this.plan.name, this.process, time.now(), { barges: true });
    try {
      const holding = await semaphore.acquire();
      ledger.goHoldings.add(holding);
      tally.add("barger acquired");
      trace.add(this.process.name, `acquired with ${holding.session}`);
      const token = this.#world.joinedAt(holding.session);
      // Somebody may have deleted the lock, and with it what there is to know, in the meantime.
      if (token !== undefined) {
        const problem = ledger.take(token, attempt);
        if (problem !== undefined) this.#world.fail("F-token", `${this.process.name}: ${problem}`);
      }
      return holding;
    } finally {
      ledger.end(attempt);
    }
  }

  async #hold({ lost }: GoHolding): Promise<void> {
    const random = this.#random;
    const duration = random.pick([0, random.exponential(100), random.exponential(1_500)]);
    if (!this.#world.windsDown) await pause(duration, lost);
  }
}
