import type { Clock } from "../../src/testing/fake-consul/clock.js";
import { EventQueue, type SimulatedEvent } from "./event-queue.js";
import type { Random } from "./prng.js";
import type { SimulatedProcess } from "./simulated-process.js";

const realSetImmediate = globalThis.setImmediate;

/** In which phase of the event loop a process was when it stalled decides what comes first after. */
export type CatchUpOrder = "timers first" | "answers first";

/**
 * A clock that moves only from one event to the next. While it is installed, the globals by which
 * the library reads clocks, waits and rolls dice are its own.
 *
 * One event is one turn of some process's event loop: after it, promises and ticks are run until
 * nothing is left of them, so that all that happens belongs to that process. The real event loop
 * never has two things to choose between, and a run can be repeated exactly.
 */
export class VirtualTime implements Clock {
  /** In milliseconds. Callers in a process see their own clock in `performance.now()` instead. */
  #now = 0;
  #sequence = 0;
  #running: SimulatedProcess | undefined;
  #immediates = 0;
  #woken: Woken | undefined;
  readonly #queue = new EventQueue();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  now(): number {
    return this.#now;
  }

  /** The process whose event is happening right now. */
  get running(): SimulatedProcess | undefined {
    return this.#running;
  }

  /** An event of the world outside the processes. */
  after(ms: number, call: () => void): () => void {
    return this.#schedule(undefined, "answer", this.#now + ms, call);
  }

  /** Something that reaches a process from outside. */
  deliver(process: SimulatedProcess, ms: number, call: () => void): void {
    this.#schedule(process, "answer", this.#now + ms, call);
  }

  /** Events that were not cancelled and are still to come. */
  pending(): readonly SimulatedEvent[] {
    return this.#queue.pending();
  }

  /**
   * Blocks a process's event loop. What comes due meanwhile happens in one go when it ends, each of
   * it by the clock of then; before it `wakes`, which is what the blocking code does next.
   */
  stall(process: SimulatedProcess, ms: number, order: CatchUpOrder, wakes: () => void): void {
    process.state = "stalled";
    this.after(ms, () => {
      if (process.state !== "stalled") return;
      process.state = "overdue";
      process.backlog.sort(
        (a, b) => rank(a, order) - rank(b, order) || a.due - b.due || a.sequence - b.sequence,
      );
      this.#woken = { process, wakes };
    });
  }

  /**
   * Lets all events happen until `end`, and calls `afterEach` after each of them; it stops early
   * when that returns false.
   */
  async runUntil(end: number, afterEach: () => boolean): Promise<void> {
    for (;;) {
      const due = this.#queue.nextDue;
      if (due === undefined || due > end) break;
      const event = this.#queue.take();
      if (event === undefined) break;
      this.#now = due;
      const { owner } = event;
      if (owner === undefined) {
        event.call();
      } else if (owner.state === "stalled") {
        owner.backlog.push(event);
        continue;
      } else if (owner.state === "killed") {
        continue;
      } else {
        await this.#turn(owner, event.call);
      }
      if (!afterEach()) return;
      if (this.#woken !== undefined && !(await this.#catchUp(this.#woken, afterEach))) return;
    }
    this.#now = end;
  }

  /** Puts the virtual globals in the place of the real ones. The result puts those back. */
  install(): () => void {
    const restores = [
      replace(globalThis, "setTimeout", (call: () => void, ms?: number) => this.#timer(call, ms)),
      replace(globalThis, "clearTimeout", (timer: unknown) => {
        if (timer instanceof VirtualTimer) timer.cancel();
      }),
      replace(globalThis, "setInterval", unknownToTheSimulation("setInterval")),
      replace(
        globalThis,
        "setImmediate",
        (call: (...args: unknown[]) => void, ...args: unknown[]) => {
          this.#immediates += 1;
          return realSetImmediate(() => {
            this.#immediates -= 1;
            call(...args);
          });
        },
      ),
      replace(performance, "now", () => this.#now + (this.#running?.clockOffset ?? 0)),
      replace(Date, "now", () => 1_700_000_000_000 + Math.floor(this.#now)),
      replace(Math, "random", () => this.#random.next()),
    ];
    return () => {
      for (const restore of restores) restore();
    };
  }

  async #catchUp({ process, wakes }: Woken, afterEach: () => boolean): Promise<boolean> {
    this.#woken = undefined;
    const backlog = process.backlog;
    process.backlog = [];
    await this.#turn(process, wakes);
    for (const event of backlog) {
      if (event.cancelled) continue;
      await this.#turn(process, event.call);
      if (!afterEach()) return false;
    }
    process.state = "runs";
    return afterEach();
  }

  async #turn(process: SimulatedProcess, call: () => void): Promise<void> {
    this.#running = process;
    call();
    await this.#settle();
    this.#running = undefined;
  }

  /** Promises and ticks all run before an immediate does; undici makes immediates of its own. */
  async #settle(): Promise<void> {
    do {
      await new Promise<void>((resolve) => {
        realSetImmediate(resolve);
      });
    } while (this.#immediates > 0);
  }

  #schedule(
    owner: SimulatedProcess | undefined,
    phase: SimulatedEvent["phase"],
    due: number,
    call: () => void,
  ): () => void {
    const sequence = (this.#sequence += 1);
    const event: SimulatedEvent = { due, sequence, owner, phase, call, cancelled: false };
    this.#queue.add(event);
    return () => {
      event.cancelled = true;
    };
  }

  /** As Node's: whole milliseconds, by a clock of whole milliseconds, which may be early by one. */
  #timer(call: () => void, ms = 1): VirtualTimer {
    const process = this.#running;
    if (process === undefined) throw new Error("a timer that belongs to no process");
    const whole = ms >= 1 && ms <= 2 ** 31 - 1 ? Math.trunc(ms) : 1;
    const due = Math.floor(this.#now + process.clockOffset) + whole - process.clockOffset;
    return new VirtualTimer(this.#schedule(process, "timer", due, call));
  }
}

/** A process whose event loop has just begun to go again. */
interface Woken {
  readonly process: SimulatedProcess;
  readonly wakes: () => void;
}

/** What `setTimeout` returns. */
class VirtualTimer {
  readonly cancel: () => void;

  constructor(cancel: () => void) {
    this.cancel = cancel;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }
}

function rank({ phase }: SimulatedEvent, order: CatchUpOrder): number {
  return (phase === "timer") === (order === "timers first") ? 0 : 1;
}

function replace(object: object, name: string, value: unknown): () => void {
  const original = Object.getOwnPropertyDescriptor(object, name);
  Object.defineProperty(object, name, { value, configurable: true, writable: true });
  return () => {
    if (original === undefined) Reflect.deleteProperty(object, name);
    else Object.defineProperty(object, name, original);
  };
}

function unknownToTheSimulation(name: string): () => never {
  return () => {
    throw new Error(`${name} is not simulated`);
  };
}
