import { Client } from "undici";
import { z } from "zod";

import type { Load } from "../load/load.js";
import type { FleetContender } from "./report-fleet.js";

/** What is used of an entry. Nothing of it is checked: the agent is a real one, and ours. */
interface Entry {
  readonly Key: string;
  readonly Value: string;
  readonly Session?: string;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
}

const entriesSchema = z.custom<readonly Entry[]>(Array.isArray);
const resultsSchema = z.object({ Results: z.custom<readonly { KV: Entry }[]>(Array.isArray) });
const lockSchema = z.custom<{ Holders: Readonly<Record<string, true>> }>((value) => value !== null);
const sessionSchema = z.object({ ID: z.string() });

type Operation = Readonly<Record<string, string | number>>;

/** How many of the first in line watch the lock entry. */
const WATCHING = 2;
const LOCK_WAIT_MS = 2_000;
/** How long the first in line have a slot that is free. */
const FREE_WAIT_MS = 20;
const WAIT_MS_PER_WAITER = 100;
/** In a queue of more entries, who enters asks only for the last. */
const LONG_QUEUE = 100;
const LONGEST_WAIT_MS = 10_000;

/**
 * A queue of this library's kind without its duties, for what Consul and undici take of a cycle: each
 * waits for the entry of one ahead, lists a short queue once, and joins with one write. It renews no
 * session, checks no answer, survives no failure, waits for ever for who has stopped, and holds
 * a slot that it has lost. The first two watch the lock entry, and those for whom there is room
 * join at once: it does not care for the order in which they do.
 */
export class BareContender implements FleetContender {
  readonly #prefix: string;
  readonly #limit: number;
  readonly #calls: Client;
  readonly #watches: Client;
  #session = "";
  #ahead: readonly Entry[] = [];
  #holders = new Set<string>();
  /** Those that were seen to hold since the prefix was listed: they are ahead no more. */
  #served = new Set<string>();
  #lockIndex = 0;
  #isLong = false;

  constructor({ address, prefix, limit }: Load) {
    this.#prefix = prefix;
    this.#limit = limit;
    this.#calls = new Client(`http://${address}`);
    this.#watches = new Client(`http://${address}`);
  }

  async acquire(): Promise<void> {
    if (this.#session === "") this.#session = await this.#createSession();
    await (this.#isLong ? this.#enterAsTail() : this.#enter());
    while (!(await this.#advance())) {
      // Until a slot is taken.
    }
  }

  async release(): Promise<void> {
    for (;;) {
      this.#holders.delete(this.#session);
      const leave = { Verb: "delete", Key: this.#keyOf(this.#session) };
      if ((await this.#transact([this.#swap(), leave])) !== undefined) return;
      await this.#readLock();
    }
  }

  async #enter(): Promise<void> {
    const own = { Key: this.#keyOf(this.#session), Session: this.#session };
    const listed = await this.#transact([
      { Verb: "lock", ...own },
      { Verb: "get-tree", Key: this.#keyOf("") },
    ]);
    this.#listShows(listed?.slice(1) ?? []);
  }

  /** Enters a long queue, and waits for who has entered last. */
  async #enterAsTail(): Promise<void> {
    const tails = this.#keyOf(".tail/");
    const own = { Key: this.#keyOf(this.#session), Session: this.#session };
    const entries = await this.#transact([
      { Verb: "get-tree", Key: tails },
      { Verb: "lock", ...own },
      { Verb: "delete-tree", Key: tails },
      { Verb: "lock", Key: tails + this.#session, Session: this.#session },
    ]);
    const [tail] = entries ?? [];
    const { Session = "", CreateIndex = 0 } = tail ?? {};
    const isAnothers = tail?.Key === tails + Session && Session !== this.#session;
    if (!isAnothers) {
      await this.#list();
      return;
    }
    const query = `&index=${CreateIndex}&wait=${LONGEST_WAIT_MS}ms`;
    const entry = await this.#read(this.#watches, this.#keyOf(Session), query);
    this.#ahead = [];
    this.#served = new Set();
    if (entry?.CreateIndex === CreateIndex && entry.ModifyIndex > CreateIndex) {
      await this.#readLock();
    } else {
      await this.#list();
    }
  }

  /** One step. Resolves to whether it has a slot. */
  async #advance(): Promise<boolean> {
    const place = this.#ahead.length;
    const free = this.#limit - this.#holders.size;
    if (place < free) return await this.#join();
    if (place >= WATCHING) {
      await this.#waitBehind(place);
      return false;
    }
    const wait = free > 0 ? FREE_WAIT_MS : LOCK_WAIT_MS;
    const before = this.#lockIndex;
    await this.#readLock(`&index=${before}&wait=${wait}ms`);
    if (this.#lockIndex === before) await this.#list();
    return false;
  }

  async #join(): Promise<boolean> {
    const own = { Key: this.#keyOf(this.#session), Session: this.#session };
    this.#holders.add(this.#session);
    const written = await this.#transact([
      { Verb: "check-session", ...own },
      this.#swap(),
      // The touch, which wakes whoever waits for this entry.
      { Verb: "unlock", ...own },
      { Verb: "lock", ...own },
    ]);
    if (written === undefined) {
      await this.#readLock();
      return false;
    }
    this.#lockIndex = written.find(({ Key }) => Key === this.#keyOf(".lock"))?.ModifyIndex ?? 0;
    return true;
  }

  async #waitBehind(place: number): Promise<void> {
    const target = this.#ahead[place - WATCHING];
    if (target === undefined) return;
    const { Key, ModifyIndex } = target;
    const wait = Math.min(WAIT_MS_PER_WAITER * place, LONGEST_WAIT_MS);
    const entry = await this.#read(this.#watches, Key, `&index=${ModifyIndex}&wait=${wait}ms`);
    if (entry?.ModifyIndex === ModifyIndex) {
      await this.#list();
      return;
    }
    this.#ahead = this.#ahead.slice(place - WATCHING + 1);
    await this.#readLock();
  }

  async #list(): Promise<void> {
    const text = await this.#send(this.#calls, "GET", `kv/${this.#keyOf("")}?recurse&consistent`);
    this.#listShows(text === undefined ? [] : entriesSchema.parse(JSON.parse(text)));
  }

  #listShows(entries: readonly Entry[]): void {
    const mine = entries.find(({ Session }) => Session === this.#session);
    const end = mine?.CreateIndex ?? 0;
    this.#isLong = entries.length > LONG_QUEUE;
    this.#ahead = entries
      .filter(({ Session, CreateIndex }) => Session !== undefined && CreateIndex < end)
      .sort((a, b) => a.CreateIndex - b.CreateIndex);
    this.#served = new Set();
    this.#lockShows(entries.find(({ Key }) => Key === this.#keyOf(".lock")));
  }

  async #readLock(query = ""): Promise<void> {
    const client = query === "" ? this.#calls : this.#watches;
    this.#lockShows(await this.#read(client, this.#keyOf(".lock"), query));
  }

  #lockShows(entry: Entry | undefined): void {
    const text = entry === undefined ? "" : Buffer.from(entry.Value, "base64").toString();
    const holders = text === "" ? {} : lockSchema.parse(JSON.parse(text)).Holders;
    this.#holders = new Set(Object.keys(holders));
    this.#lockIndex = entry?.ModifyIndex ?? 0;
    for (const session of this.#holders) this.#served.add(session);
    this.#ahead = this.#ahead.filter(({ Session = "" }) => !this.#served.has(Session));
  }

  /** The write of the lock entry. */
  #swap(): Operation {
    const holders = [...this.#holders].sort().map((session) => [session, true] as const);
    const lock = { Limit: this.#limit, Holders: Object.fromEntries(holders) };
    return {
      ...{ Verb: "cas", Key: this.#keyOf(".lock"), Index: this.#lockIndex },
      Value: Buffer.from(JSON.stringify(lock)).toString("base64"),
    };
  }

  /** Resolves to nothing where Consul has refused. */
  async #transact(operations: readonly Operation[]): Promise<readonly Entry[] | undefined> {
    const body = JSON.stringify(operations.map((KV) => ({ KV })));
    const text = await this.#send(this.#calls, "PUT", "txn", body);
    if (text === undefined) return undefined;
    return resultsSchema.parse(JSON.parse(text)).Results.map(({ KV }) => KV);
  }

  async #read(client: Client, key: string, query: string): Promise<Entry | undefined> {
    const text = await this.#send(client, "GET", `kv/${key}?consistent${query}`);
    return text === undefined ? undefined : entriesSchema.parse(JSON.parse(text))[0];
  }

  async #createSession(): Promise<string> {
    const body = JSON.stringify({ TTL: "600s", Behavior: "delete" });
    const text = await this.#send(this.#calls, "PUT", "session/create", body);
    return sessionSchema.parse(JSON.parse(text ?? "{}")).ID;
  }

  /** Resolves to nothing where Consul has refused, or has nothing. */
  async #send(
    client: Client,
    method: "GET" | "PUT",
    path: string,
    body: string | null = null,
  ): Promise<string | undefined> {
    const answer = await client.request({ method, path: `/v1/${path}`, body });
    const text = await answer.body.text();
    const isRefused = answer.statusCode === 404 || answer.statusCode === 409;
    if (!isRefused && answer.statusCode !== 200) {
      throw new Error(`${method} ${path} was answered with ${answer.statusCode}: ${text}`);
    }
    return isRefused ? undefined : text;
  }

  #keyOf(name: string): string {
    return `${this.#prefix}/${name}`;
  }
}
