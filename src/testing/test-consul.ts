import { ConsulClient, type KVEntry, type SessionEntry } from "consul-semaphore";
import type { Dispatcher } from "undici";

import { CarriedDispatcher } from "./fake-consul/carried-dispatcher.js";
import { FakeConsul } from "./fake-consul/fake-consul.js";
import { globalClock } from "./global-clock.js";
import { NetworkLink, type LinkState } from "./network-link.js";

/**
 * How to make a {@link TestConsul}.
 *
 * @example
 * ```ts
 * const consul = new TestConsul({ shortestTtl: 100 }); // for sessions of 100 ms, in real time
 * ```
 */
export interface TestConsulOptions {
  /**
   * Where session IDs and the jitter of blocking queries come from: numbers from 0 up to, but not
   * including, 1. Default: `Math.random`.
   */
  readonly random?: (() => number) | undefined;
  /**
   * The shortest session TTL that is allowed, in milliseconds (the agent's `session_ttl_min`), for
   * tests that wait in real time. Default: 10,000, as Consul's.
   */
  readonly shortestTtl?: number | undefined;
}

/**
 * A Consul in memory for the unit tests of a service: key/value store, sessions and transactions as
 * the HTTP API of a real one has them, with no network, no Docker and no process of its own.
 *
 * It and the library read the time from the globals `performance.now` and `setTimeout` whenever they
 * need it. So the fake timers of a test runner move both at once. Install them before you make it,
 * and let them take the place of both globals; then advance them in the way that lets promises settle
 * between two timers (`advanceTimersByTimeAsync`). Without fake timers, it runs in real time.
 *
 * Nothing takes time by itself: each answer is there at once. A session that is not renewed ends when
 * twice its TTL is over, where a real Consul may take anything from one to two. What waits here keeps
 * no process alive.
 *
 * It has only what a semaphore needs: no ACLs (tokens are not looked at), no services and health checks
 * but the node's own, no other datacenters, no namespaces.
 *
 * @example
 *
 * ```ts
 * vi.useFakeTimers();
 * await using consul = new TestConsul();
 * const semaphore = consul.client().semaphorePrefix("jobs/resize", 1);
 * const slot = await semaphore.acquire();
 *
 * consul.cut(); // from now on, nothing gets through
 * await vi.advanceTimersByTimeAsync(15_000);
 * expect(slot.signal.reason).toMatchObject({ reason: "session-expired" });
 * ```
 */
export class TestConsul implements AsyncDisposable {
  readonly #consul: FakeConsul;
  /** By what leads to them: a dispatcher of ours, and the client that has it. */
  readonly #links = new Map<ConsulClient | Dispatcher, NetworkLink>();
  readonly #clients: ConsulClient[] = [];
  readonly #dispatchers: CarriedDispatcher[] = [];
  /** That of links to come. */
  #linkState: LinkState = "open";
  #closed: Promise<void> | undefined;

  /** Empty, with a leader and a network that is in order. */
  constructor(options: TestConsulOptions = {}) {
    const { random, shortestTtl } = options;
    this.#consul = new FakeConsul({
      clock: globalClock,
      ...(random === undefined ? {} : { random }),
      ...(shortestTtl === undefined ? {} : { shortestTtl }),
    });
  }

  /**
   * A new client of this Consul, as if in a process of its own: it shares nothing with the others,
   * and has a network of its own to fail. Variables like `CONSUL_HTTP_ADDR` and `CONSUL_HTTP_TOKEN`
   * make no difference to it. {@link close} closes it.
   *
   * @example
   *
   * ```ts
   * const consul = new TestConsul();
   * const [ours, theirs] = [consul.client(), consul.client()];
   * await theirs.semaphorePrefix("jobs/resize", 1).acquire();
   * const acquiring = ours.semaphorePrefix("jobs/resize", 1).acquire(); // waits
   * ```
   *
   * @throws Error after {@link close}
   */
  client(): ConsulClient {
    const dispatcher = this.dispatcher();
    // What is not given would come from the environment of whoever runs the tests.
    const client = new ConsulClient({
      address: "http://127.0.0.1:8500",
      scheme: "http",
      token: "",
      httpAuth: "",
      namespace: "",
      partition: "",
      dispatcher,
    });
    this.#clients.push(client);
    this.#links.set(client, this.#linkOf(dispatcher));
    return client;
  }

  /**
   * A new way to this Consul for a service that makes its {@link ConsulClient} by itself. Each has a
   * network of its own, as each client has. It carries requests to whatever host, but not to a unix
   * socket, nor below a path of the address. Close the client in the end, before {@link close}.
   *
   * @example
   *
   * ```ts
   * const consul = new TestConsul();
   * const client = new ConsulClient({ dispatcher: consul.dispatcher() }); // in the service
   * ```
   *
   * @throws Error after {@link close}
   */
  dispatcher(): Dispatcher {
    if (this.#closed !== undefined) throw new Error("this TestConsul has been closed");
    const link = new NetworkLink(this.#consul.carrier, this.#linkState);
    const dispatcher = new CarriedDispatcher(link.carrier);
    this.#dispatchers.push(dispatcher);
    this.#links.set(dispatcher, link);
    return dispatcher;
  }

  /**
   * Cuts the network without a sign, as a pulled cable or a firewall does: what is sent from now on,
   * by either end, does not arrive, and nobody is told. Requests under way and blocking queries get
   * no answer. A held slot is lost when it could not be renewed for one TTL (`session-expired`), and
   * Consul gives it to others when two TTLs are over.
   *
   * After {@link heal}, what both ends have sent meanwhile arrives, in the order in which it was
   * sent, as TCP sends again what was lost; but not a request on which the client has given up since,
   * since that closed its connection.
   *
   * @param whose a client of {@link client} or a dispatcher of {@link dispatcher}. Default: all of
   *   them, and those that are made later.
   * @throws RangeError for one that is not of this Consul
   */
  cut(whose?: ConsulClient | Dispatcher): void {
    this.#setLinks("cut", whose);
  }

  /**
   * Has connections refused, as where the agent does not run: those there are break, and each new
   * one fails at once with `ECONNREFUSED`. The library tries again for as long as the session lasts;
   * only a client that has never had an answer gives up at once, as its address may be wrong.
   *
   * @param whose a client of {@link client} or a dispatcher of {@link dispatcher}. Default: all of
   *   them, and those that are made later.
   * @throws RangeError for one that is not of this Consul
   */
  refuse(whose?: ConsulClient | Dispatcher): void {
    this.#setLinks("refused", whose);
  }

  /**
   * Ends {@link cut} and {@link refuse}.
   *
   * @param whose a client of {@link client} or a dispatcher of {@link dispatcher}. Default: all of
   *   them, and those that are made later.
   * @throws RangeError for one that is not of this Consul
   */
  heal(whose?: ConsulClient | Dispatcher): void {
    this.#setLinks("open", whose);
  }

  /**
   * Destroys a session, as an operator does, or Consul when a health check fails. A slot that hangs on
   * it is lost (`session-invalidated`).
   *
   * @example
   *
   * ```ts
   * const consul = new TestConsul();
   * const slot = await consul.client().semaphorePrefix("jobs/resize", 1).acquire();
   * consul.destroySession(slot.session);
   * ```
   *
   * @throws RangeError where there is none of that ID
   */
  destroySession(id: string): void {
    if (!this.sessions.some((session) => session.id === id)) {
      throw new RangeError(`there is no session ${JSON.stringify(id)} to destroy`);
    }
    this.#consul.destroySession(id);
  }

  /**
   * Deletes an entry of the key/value store, whoever has its lock. A slot is lost with the lock entry
   * (`holder-removed`, key: the prefix and `/.lock`) or with the contender entry
   * (`session-invalidated`, key: the prefix, `/` and the session's ID).
   *
   * @throws RangeError where there is none of that key
   */
  deleteKey(key: string): void {
    if (!this.entries.some((entry) => entry.key === key)) {
      throw new RangeError(`there is no entry ${JSON.stringify(key)} to delete`);
    }
    this.#consul.deleteKey(key);
  }

  /**
   * From now on the cluster has no leader: every request is answered with status 500, blocking
   * queries too, and no session expires. A held slot is lost when that lasts longer than one TTL.
   */
  loseLeader(): void {
    this.#consul.loseLeader();
  }

  /** The cluster has a leader again. Each session gets all of its time anew, as from a real one. */
  electLeader(): void {
    this.#consul.electLeader();
  }

  /** All entries of the key/value store, by key. */
  get entries(): readonly KVEntry[] {
    return this.#consul.entries;
  }

  /** All sessions there are, by ID. */
  get sessions(): readonly SessionEntry[] {
    return this.#consul.sessions;
  }

  /**
   * Ends everything. The network is healed and a leader elected first, so that nothing takes time; the
   * clients of {@link client} are closed, which releases what they hold and rejects who waits; requests
   * over a {@link dispatcher} fail from then on; and no timer is left. May be called again.
   */
  async close(): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  /** For `await using`: as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #setLinks(state: LinkState, whose: ConsulClient | Dispatcher | undefined): void {
    if (whose !== undefined) {
      this.#linkOf(whose).set(state);
      return;
    }
    this.#linkState = state;
    for (const link of new Set(this.#links.values())) link.set(state);
  }

  #linkOf(whose: ConsulClient | Dispatcher): NetworkLink {
    const link = this.#links.get(whose);
    if (link === undefined)
      throw new RangeError("this is no client or dispatcher of this TestConsul");
    return link;
  }

  async #close(): Promise<void> {
    this.electLeader();
    this.heal();
    await Promise.all(this.#clients.map((client) => client.close()));
    await Promise.all(this.#dispatchers.map((dispatcher) => dispatcher.destroy()));
    this.#consul.dispose();
  }
}
