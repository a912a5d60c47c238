import type { ConsulClient } from "../../src/index.js";
import { decodeLock, encodeLock, SEMAPHORE_FLAG_VALUE } from "../../src/protocol/lock-entry.js";

/**
 * A contender in the manner of the Go original: it takes any slot that is free, in no order, and its
 * entry stays as it is when it does.
 */
export class GoContender {
  readonly session: string;
  readonly #client: ConsulClient;
  readonly #prefix: string;
  readonly #limit: number;

  private constructor(client: ConsulClient, prefix: string, limit: number, session: string) {
    this.#client = client;
    this.#prefix = prefix;
    this.#limit = limit;
    this.session = session;
  }

  /** Makes its contender entry. Its session lives until it leaves. */
  static async enter(client: ConsulClient, prefix: string, limit: number): Promise<GoContender> {
    const session = await client.session.create({ behavior: "delete" });
    const key = `${prefix}/${session}`;
    await client.kv.acquire({ key, session, flags: SEMAPHORE_FLAG_VALUE });
    return new GoContender(client, prefix, limit, session);
  }

  /** Takes a slot if one is free. Resolves to whether it has one. */
  async tryToJoin(): Promise<boolean> {
    const { value: entries } = await this.#client.kv.list(`${this.#prefix}/`);
    const lock = entries.find(({ key }) => key === this.#lockKey);
    const alive = new Set(entries.map(({ session }) => session));
    const { holders } = decodeLock(lock?.value ?? Buffer.from("null"));
    const live = [...holders].filter((holder) => alive.has(holder));
    if (live.length >= this.#limit) return false;
    return await this.#swap([...live, this.session], lock?.modifyIndex ?? 0n);
  }

  /** Waits until it has a slot, as Go does: any change of the prefix wakes it. */
  async join(): Promise<void> {
    let index = 0n;
    while (!(await this.tryToJoin())) {
      const { meta } = await this.#client.kv.list(`${this.#prefix}/`, { index, wait: "15s" });
      index = meta.index;
    }
  }

  /** Leaves its slot, if it has one, and the prefix. */
  async leave(): Promise<void> {
    for (let isLeft = false; !isLeft;) {
      const { value: lock } = await this.#client.kv.get(this.#lockKey);
      const { holders } = decodeLock(lock?.value ?? Buffer.from("null"));
      const others = [...holders].filter((holder) => holder !== this.session);
      isLeft =
        others.length === holders.size || (await this.#swap(others, lock?.modifyIndex ?? 0n));
    }
    await this.#client.kv.delete(`${this.#prefix}/${this.session}`);
    await this.#client.session.destroy(this.session);
  }

  async #swap(holders: readonly string[], modifyIndex: bigint): Promise<boolean> {
    const value = encodeLock({ limit: this.#limit, holders: new Set(holders) });
    const flags = SEMAPHORE_FLAG_VALUE;
    return await this.#client.kv.cas({ key: this.#lockKey, value, flags, modifyIndex });
  }

  get #lockKey(): string {
    return `${this.#prefix}/.lock`;
  }
}
