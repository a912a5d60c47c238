import { onTestFinished, vi } from "vitest";

import { ConsulClient, type ConsulClientConfig, type KVEntry } from "../../src/index.js";
import { CarriedDispatcher } from "../../src/testing/fake-consul/carried-dispatcher.js";
import type { HttpRequest, Receiver } from "../../src/testing/fake-consul/carrier.js";
import { decodeLock } from "../../src/protocol/lock-entry.js";
import { FakeConsul } from "../../src/testing/fake-consul/fake-consul.js";
import { globalClock } from "../../src/testing/global-clock.js";
import type { Fault } from "./faults.js";
import { Sent, type Step } from "./sent.js";

/** Which requests a fault is for. */
type Matching = Step | ((request: Sent) => boolean);

/** More requests than that at one moment of a clock that stands still would never end. */
const MOST_AT_ONCE = 2_000;

interface Rule {
  readonly matches: (request: Sent) => boolean;
  readonly faults: Fault[];
  readonly isForGood: boolean;
}

/** A Consul in memory, with a client of it, and more if wanted. All of them end with the test. */
export class Scene {
  readonly consul = new FakeConsul({
    clock: globalClock,
    shortestTtl: 100,
    random: randomNumbers(),
  });
  readonly client: ConsulClient;
  /** All requests so far. */
  readonly sent: Sent[] = [];
  /** Hears of each request before it is carried out. */
  onRequest: (request: Sent) => void = () => undefined;
  readonly #clients: ConsulClient[] = [];
  #rules: Rule[] = [];
  /** How many requests were sent at the moment of the last one. */
  #burst = { at: -1, requests: 0 };
  #isSpinning = false;

  constructor(config: ConsulClientConfig = {}) {
    this.client = this.newClient(config);
    onTestFinished(async () => {
      await this.end();
    });
  }

  /** A client as if in a process of its own. */
  newClient(config: ConsulClientConfig = {}): ConsulClient {
    const client: ConsulClient = new ConsulClient({
      address: "127.0.0.1:8500",
      dispatcher: new CarriedDispatcher((request, receiver) =>
        this.#carry(client, request, receiver),
      ),
      ...config,
    });
    this.#clients.push(client);
    return client;
  }

  /** What becomes of the next requests of this kind, one each. */
  next(matching: Matching, ...faults: readonly Fault[]): void {
    this.#rules.push({ matches: matcher(matching), faults: [...faults], isForGood: false });
  }

  /** What becomes of all requests of this kind, until `heal`. What `next` says comes first. */
  always(matching: Matching, fault: Fault): void {
    this.#rules.push({ matches: matcher(matching), faults: [fault], isForGood: true });
  }

  /** Ends all faults. */
  heal(): void {
    this.#rules = [];
  }

  /** The requests of some kinds. */
  of(...kinds: readonly Matching[]): readonly Sent[] {
    return this.sent.filter((request) => kinds.some((kind) => matcher(kind)(request)));
  }

  /** What the requests were for, in their order. */
  get steps(): readonly Step[] {
    return this.sent.map(({ step }) => step);
  }

  /** The requests that have no answer yet. */
  get open(): readonly Sent[] {
    return this.sent.filter(({ endedAt }) => endedAt === undefined);
  }

  /** Forgets the requests so far. */
  forget(): void {
    this.sent.splice(0);
  }

  /** All that there is in Consul but for lock entries. */
  get left(): readonly string[] {
    const { entries, sessions } = this.consul;
    return [
      ...entries.filter(({ key }) => !key.endsWith("/.lock")).map(({ key }) => `entry ${key}`),
      ...sessions.map(({ id }) => `session ${id}`),
    ];
  }

  /** The contender entries of a prefix in the order of their arrival. */
  contenders(prefix: string): readonly KVEntry[] {
    return this.consul.entries
      .filter(({ key }) => key.startsWith(`${prefix}/`) && !key.startsWith(`${prefix}/.`))
      .toSorted((a, b) => Number(a.createIndex - b.createIndex));
  }

  /** What the lock entry of a prefix says. */
  lock(
    prefix: string,
  ): { readonly limit: number; readonly holders: readonly string[] } | undefined {
    const entry = this.consul.entries.find(({ key }) => key === `${prefix}/.lock`);
    if (entry === undefined) return undefined;
    const { limit, holders } = decodeLock(entry.value ?? Buffer.from("null"));
    return { limit, holders: [...holders] };
  }

  /** Ends all clients and the Consul. With fake time, nothing of them may be left. */
  async end(): Promise<void> {
    this.heal();
    const closing = Promise.all(this.#clients.map((client) => client.close()));
    if (vi.isFakeTimers()) await vi.advanceTimersByTimeAsync(10_000);
    await closing;
    this.consul.dispose();
    if (this.#isSpinning) throw new Error("requests were sent at one moment without end");
    if (!vi.isFakeTimers()) return;
    const timers = vi.getTimerCount();
    if (timers > 0) throw new Error(`${timers} timers were left behind`);
  }

  #carry(client: ConsulClient, given: HttpRequest, receiver: Receiver): () => void {
    const request = new Sent(client, given);
    if (this.#isOneTooMany(request)) {
      receiver.error(new Error("too many requests at one moment"));
      return () => undefined;
    }
    this.sent.push(request);
    this.onRequest(request);
    const ended = (): void => {
      request.endedAt ??= performance.now();
    };
    const noting: Receiver = {
      response: (response) => {
        ended();
        receiver.response(response);
      },
      error: (error) => {
        ended();
        receiver.error(error);
      },
    };
    const { carrier } = this.consul;
    const fault = this.#faultFor(request);
    const cancel = fault === undefined ? carrier(given, noting) : fault(given, noting, carrier);
    return () => {
      ended();
      cancel();
    };
  }

  /** With fake time, a loop without a pause would not even let the test time out. */
  #isOneTooMany({ at }: Sent): boolean {
    if (!vi.isFakeTimers()) return false;
    this.#burst = { at, requests: at === this.#burst.at ? this.#burst.requests + 1 : 1 };
    this.#isSpinning ||= this.#burst.requests > MOST_AT_ONCE;
    return this.#burst.requests > MOST_AT_ONCE;
  }

  #faultFor(request: Sent): Fault | undefined {
    const matching = this.#rules.filter(({ matches }) => matches(request));
    const rule = matching.find(({ isForGood }) => !isForGood) ?? matching[0];
    if (rule === undefined || rule.isForGood) return rule?.faults[0];
    const fault = rule.faults.shift();
    if (rule.faults.length === 0) this.#rules = this.#rules.filter((other) => other !== rule);
    return fault;
  }
}

function matcher(matching: Matching): (request: Sent) => boolean {
  return typeof matching === "function" ? matching : ({ step }) => step === matching;
}

/** Numbers from 0 to 1 that are the same in each run, whatever a test makes of `Math.random`. */
function randomNumbers(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
