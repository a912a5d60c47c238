import { ConsulClient, type KVEntry, type SessionEntry } from "consul-semaphore";
import type { Dispatcher } from "undici";

import { CarriedDispatcher } from "./fake-consul/carried-dispatcher.js";
import { FakeConsul } from "./fake-consul/fake-consul.js";
import { globalClock } from "./global-clock.js";
import { HttpServer } from "./http-server.js";
import { Network } from "./network.js";
import { checkOptions, type TestConsulListenOptions, type TestConsulOptions } from "./options.js";

/**
 * A {@link TestConsul} that other processes can use, from {@link TestConsul.listen}.
 *
 * @example
 *
 * ```ts
 * const { address }: TestConsulServer = await TestConsul.listen();
 * const client = new ConsulClient({ address });
 * ```
 */
export interface TestConsulServer extends TestConsul {
  /** Such as `http://127.0.0.1:8500`: for `CONSUL_HTTP_ADDR`, and for the option `address`. */
  readonly address: string;
}

/**
 * A Consul in memory for the unit tests of a service. Its key/value store, sessions and
 * transactions behave as the HTTP API of a real Consul does, without network, Docker or another
 * process.
 *
 * Both it and the library use the globals `performance.now` and `setTimeout`, so the fake timers of
 * a test runner control both. Install them before you create a TestConsul, with fakes of both
 * globals. Advance them in the way that lets promises settle between two timers
 * (`advanceTimersByTimeAsync`). Without fake timers, it runs in real time.
 *
 * Each answer comes at once. A session that is not renewed ends after twice its TTL; a real Consul
 * takes between one and two. Waiting queries and timers do not keep the process alive.
 *
 * It has only what a semaphore needs: no ACLs (tokens are ignored), no services, no health checks
 * but that of the node, no other datacenters and no namespaces.
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
  readonly #network: Network<ConsulClient | Dispatcher | HttpServer | string>;
  readonly #clients: ConsulClient[] = [];
  readonly #dispatchers: CarriedDispatcher[] = [];
  #server: HttpServer | undefined;
  #closed: Promise<void> | undefined;

  /**
   * Creates an empty Consul, with a leader and a working network.
   *
   * @throws TypeError for an invalid option
   */
  constructor(options: TestConsulOptions = {}) {
    checkOptions({ ...options });
    const { random, shortestTtl } = options;
    this.#consul = new FakeConsul({
      clock: globalClock,
      ...(random === undefined ? {} : { random }),
      ...(shortestTtl === undefined ? {} : { shortestTtl }),
    });
    this.#network = new Network(this.#consul.carrier);
  }

  /**
   * Creates a Consul in memory that serves Consul's HTTP API on the loopback interface, for services
   * in processes of their own, in any language. It keeps the process alive until {@link close}, which
   * ends all connections, blocking queries included, and frees the port.
   *
   * All who come over HTTP have one network, which fails alone with `consul.cut(consul.address)`.
   * {@link refuse} breaks their connections as soon as they send a request.
   *
   * Other processes live in real time, so use it without fake timers, and make sessions short
   * instead, with `shortestTtl`.
   *
   * @example
   *
   * ```ts
   * await using consul = await TestConsul.listen({ shortestTtl: 1_000 });
   * const env = { ...process.env, CONSUL_HTTP_ADDR: consul.address };
   * const service = spawn("./service", { env });
   * ```
   *
   * @throws Error if it cannot listen at the port, TypeError for another invalid option
   */
  static async listen({
    port = 0,
    ...options
  }: TestConsulListenOptions = {}): Promise<TestConsulServer> {
    const consul = new TestConsul(options);
    const network = consul.#network;
    const server = network.connect((carrier) => new HttpServer(carrier));
    const address = await server.listen(port);
    network.share(server, address);
    consul.#server = server;
    return Object.assign(consul, { address });
  }

  /**
   * Creates a client of this Consul, as if in a process of its own: it shares nothing with the
   * others, and its network can fail separately. It ignores variables such as `CONSUL_HTTP_ADDR`
   * and `CONSUL_HTTP_TOKEN`. {@link close} closes it.
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
    // All options are set: the defaults would come from the environment of the test run.
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
    this.#network.share(dispatcher, client);
    return client;
  }

  /**
   * Creates a dispatcher for a service that creates its own {@link ConsulClient}. Each dispatcher
   * has a network of its own, as each client has. It accepts every host, but no unix socket and no
   * path in the address. Close the service's client before {@link close}.
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
    const dispatcher = this.#network.connect((carrier) => new CarriedDispatcher(carrier));
    this.#dispatchers.push(dispatcher);
    return dispatcher;
  }

  /**
   * Cuts the network silently, as a pulled cable or a firewall does: nothing that either end sends
   * arrives, and neither end is notified. Pending requests and blocking queries get no answer. A
   * held slot is lost when it could not be renewed for one TTL (`session-expired`), and Consul
   * frees it after two TTLs.
   *
   * After {@link heal}, everything that both ends have sent meanwhile arrives in order, as TCP
   * retransmits what was lost. An exception is a request that the client has aborted since, which
   * closed its connection.
   *
   * @param target a client from {@link client}, a dispatcher from {@link dispatcher}, or the address
   *   of {@link listen}. Default: all, those that are created later included.
   * @throws RangeError for one of another Consul
   */
  cut(target?: ConsulClient | Dispatcher | string): void {
    this.#network.set("cut", target);
  }

  /**
   * Refuses connections, as if the agent did not run: existing ones break, and each new one fails
   * at once with `ECONNREFUSED`. The library retries for as long as the session lasts. Only a
   * client that has never had an answer fails at once, since its address may be wrong.
   *
   * @param target a client from {@link client}, a dispatcher from {@link dispatcher}, or the address
   *   of {@link listen}. Default: all, those that are created later included.
   * @throws RangeError for one of another Consul
   */
  refuse(target?: ConsulClient | Dispatcher | string): void {
    this.#network.set("refused", target);
  }

  /**
   * Ends {@link cut} and {@link refuse}.
   *
   * @param target a client from {@link client}, a dispatcher from {@link dispatcher}, or the address
   *   of {@link listen}. Default: all, those that are created later included.
   * @throws RangeError for one of another Consul
   */
  heal(target?: ConsulClient | Dispatcher | string): void {
    this.#network.set("open", target);
  }

  /**
   * Destroys a session, as an operator does, or Consul when a health check fails. Its slot is lost
   * (`session-invalidated`).
   *
   * @example
   *
   * ```ts
   * const consul = new TestConsul();
   * const slot = await consul.client().semaphorePrefix("jobs/resize", 1).acquire();
   * consul.destroySession(slot.session);
   * ```
   *
   * @throws RangeError if there is none with this ID
   */
  destroySession(id: string): void {
    if (!this.sessions.some((session) => session.id === id)) {
      throw new RangeError(`there is no session ${JSON.stringify(id)} to destroy`);
    }
    this.#consul.destroySession(id);
  }

  /**
   * Deletes an entry of the key/value store, even if it is locked. A slot is lost with the lock
   * entry (`holder-removed`; its key is the prefix and `/.lock`), and with its contender entry
   * (`session-invalidated`; its key is the prefix, `/` and the session's ID).
   *
   * @throws RangeError if there is none with this key
   */
  deleteKey(key: string): void {
    if (!this.entries.some((entry) => entry.key === key)) {
      throw new RangeError(`there is no entry ${JSON.stringify(key)} to delete`);
    }
    this.#consul.deleteKey(key);
  }

  /**
   * Removes the leader: every request is answered with status 500, blocking queries too, and no
   * session expires. A held slot is lost if that lasts longer than one TTL.
   */
  loseLeader(): void {
    this.#consul.loseLeader();
  }

  /** Elects a leader again. The TTL of each session starts again, as with a real leader. */
  electLeader(): void {
    this.#consul.electLeader();
  }

  /** All entries of the key/value store, by key. */
  get entries(): readonly KVEntry[] {
    return this.#consul.entries;
  }

  /** All sessions, by ID. */
  get sessions(): readonly SessionEntry[] {
    return this.#consul.sessions;
  }

  /**
   * Closes this Consul. First it heals the network and elects a leader, so that nothing takes time.
   * It closes the clients from {@link client}, which releases their slots and rejects their
   * waiters. Requests over a {@link dispatcher} or over HTTP fail from then on, and no timer is left.
   * It may be called again.
   */
  async close(): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  /** For `await using`: as {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.electLeader();
    this.heal();
    await this.#server?.close();
    await Promise.all(this.#clients.map((client) => client.close()));
    await Promise.all(this.#dispatchers.map((dispatcher) => dispatcher.destroy()));
    this.#consul.dispose();
  }
}
