import { ConsulClient } from "../../src/index.js";
import { CarriedDispatcher } from "../../src/testing/fake-consul/carried-dispatcher.js";
import { Link } from "./link.js";
import type { Random } from "./prng.js";
import { createProgramSession } from "./program-session.js";
import type { HostPlan, ShutdownPlan, UserPlan } from "./scenario.js";
import { SemaphoreUser } from "./semaphore-user.js";
import { SimulatedProcess } from "./simulated-process.js";
import { isLive } from "./tenure.js";
import type { World } from "./world.js";

/** A timer may be early by one millisecond. */
const TIMER_SLACK_MS = 2;

/** How long after the drain a client closes at the latest, where Consul does not answer. */
const CLOSED_WITHIN_MS = 6_100;

/** A machine: its network, the process on it, and what outlives that process. */
export class Host {
  readonly plan: HostPlan;
  readonly link: Link;
  /** The sessions that the programs here bring along, by user. A restarted one has them still. */
  readonly ownSessions = new Map<string, string>();
  readonly #world: World;
  readonly #random: Random;
  #process: SimulatedProcess;
  /** Until when those at work in the process that has closed its client have their slots. */
  #drainUntil: number | undefined;
  #starts = 0;
  #users: readonly SemaphoreUser[] = [];

  constructor(world: World, plan: HostPlan, random: Random) {
    this.plan = plan;
    this.#world = world;
    this.#random = random;
    this.link = new Link(world.time, world.consul.carrier, random.fork(), world);
    this.#process = this.#newProcess();
  }

  get process(): SimulatedProcess {
    return this.#process;
  }

  get isDone(): boolean {
    if (this.#process.state === "killed") return true;
    return this.#users.length > 0 && this.#users.every(({ isDone }) => isDone);
  }

  /** Whether a program here could block a slot for ever, if it never came back. */
  get hasLastingSession(): boolean {
    return this.plan.users.some(({ ownSession }) => ownSession?.ttl === null);
  }

  /** Whether another process ran here before this one. */
  get wasRestarted(): boolean {
    return this.#starts > 1;
  }

  start(): void {
    const process = this.#process;
    const random = this.#random.fork();
    this.#world.time.deliver(process, random.between(0, 1_000), () => {
      this.#world.trace.add(process.name, "starts");
      const client = new ConsulClient({
        address: "127.0.0.1:8500",
        dispatcher: new CarriedDispatcher(this.link.carrierFor(process)),
      });
      this.#users = this.plan.users.map(
        (plan) => new SemaphoreUser(this.#world, this, process, client, plan, random.fork()),
      );
      for (const user of this.#users) void user.work();
      const { shutdown } = this.plan;
      if (shutdown === undefined) return;
      this.#world.time.deliver(process, shutdown.at, () => void this.#shutDown(client, shutdown));
    });
  }

  /** Whether a process here has closed its client while others worked with it. */
  isShutDown(process: SimulatedProcess): boolean {
    return process === this.#process && this.#drainUntil !== undefined;
  }

  /** Whether slots in such a process may have been released by the end of the client. */
  isDrained(process: SimulatedProcess): boolean {
    if (process !== this.#process || this.#drainUntil === undefined) return false;
    return this.#world.time.now() >= this.#drainUntil;
  }

  /** One of the users has done all that it had to do. */
  finished(client: ConsulClient): void {
    if (!this.plan.closes || !this.isDone) return;
    this.#world.trace.add(this.#process.name, "closes its client");
    this.#world.tally.add("client closed");
    void client.close();
  }

  async #shutDown(client: ConsulClient, { drain }: ShutdownPlan): Promise<void> {
    const { time, trace, tally, ledger } = this.#world;
    const process = this.#process;
    if (this.#world.windsDown) return;
    const closedAt = time.now();
    this.#drainUntil = closedAt + drain - TIMER_SLACK_MS;
    trace.add(process.name, `closes its client, and drains it for ${drain.toFixed(0)} ms`);
    tally.add("client drained");
    await client.close({ drain });
    const took = time.now() - closedAt;
    trace.add(process.name, "has closed its client");
    for (const tenure of ledger.tenures) {
      if (tenure.process !== process || !isLive(tenure)) continue;
      this.#world.fail("state", `${tenure.user} has a slot still, and its client is closed`);
    }
    if (took <= drain + CLOSED_WITHIN_MS || this.link.trouble.since(closedAt)) return;
    this.#world.fail("state", `to close the client of ${process.name} took ${took} ms`);
  }

  kill(): void {
    this.#world.trace.add(this.#process.name, "is killed");
    this.#process.kill();
    this.#world.disturbance.begin()();
  }

  /** In place of a process that was killed. */
  restart(): void {
    this.#users = [];
    this.#drainUntil = undefined;
    this.#process = this.#newProcess();
    this.start();
  }

  /** Blocks the event loop of the process. */
  stall(ms: number): void {
    const process = this.#process;
    if (process.state !== "runs") return;
    const { time, trace, tally } = this.#world;
    const over = this.link.suffer("grave");
    const order = this.#random.pick(["timers first", "answers first"] as const);
    trace.add(process.name, `stalls for ${ms.toFixed(0)} ms, then ${order}`);
    tally.add("fault stall");
    const users = this.#users;
    time.stall(process, ms, order, () => {
      trace.add(process.name, "goes on");
      for (const user of users) user.wakes();
    });
    time.after(ms, over);
  }

  /** Consul's answer to the creation of a session by the program, not by the library. */
  createSession({ name }: UserPlan, ttl: number | null): string {
    const id = createProgramSession(this.#world.consul, name, ttl);
    if (id !== "") this.ownSessions.set(name, id);
    return id;
  }

  #newProcess(): SimulatedProcess {
    this.#starts += 1;
    // Consul's and all other clocks have nothing to do with when this process began.
    const offset = this.#random.between(0, 1_000_000);
    return new SimulatedProcess(`${this.plan.name}#${this.#starts}`, offset);
  }
}
