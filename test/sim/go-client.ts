import type { Carrier, HttpRequest, HttpResponse } from "../../src/testing/fake-consul/carrier.js";
import { SEMAPHORE_FLAGS, type StoredEntry } from "./lock-entry.js";

/** Entries under a prefix, and the index to wait on. */
export interface Listing {
  readonly entries: readonly StoredEntry[];
  readonly index: bigint;
}

/** The requests of Go's `api` package that its semaphore makes, without the library's client. */
export class GoClient {
  readonly #carrier: Carrier;

  constructor(carrier: Carrier) {
    this.#carrier = carrier;
  }

  async createSession(name: string, ttl: number): Promise<string> {
    const body = JSON.stringify({ Name: name, TTL: `${ttl}ms`, Behavior: "delete" });
    const answer = await this.#ask({ method: "PUT", path: "/v1/session/create", body });
    const [, id] = /"ID":\s*"([^"]+)"/.exec(answer.body) ?? [];
    if (id === undefined) throw new Error(`no session in ${answer.body}`);
    return id;
  }

  /** Resolves to whether there still is such a session. */
  async renewSession(id: string): Promise<boolean> {
    const path = `/v1/session/renew/${id}`;
    return (await this.#ask({ method: "PUT", path, body: "" }, 404)).status === 200;
  }

  async destroySession(id: string): Promise<void> {
    await this.#ask({ method: "PUT", path: `/v1/session/destroy/${id}`, body: "" });
  }

  async acquireKey(key: string, session: string, value: string): Promise<boolean> {
    return await this.#write("PUT", `${key}?acquire=${session}&flags=${SEMAPHORE_FLAGS}`, value);
  }

  async casKey(key: string, value: string, index: bigint): Promise<boolean> {
    return await this.#write("PUT", `${key}?cas=${index}&flags=${SEMAPHORE_FLAGS}`, value);
  }

  async deleteKey(key: string): Promise<void> {
    await this.#write("DELETE", key, "");
  }

  async getKey(key: string): Promise<StoredEntry | undefined> {
    const { entries } = await this.#read(key);
    return entries[0];
  }

  async list(prefix: string, query: string): Promise<Listing> {
    return await this.#read(`${prefix}?recurse=${query}`);
  }

  async #write(method: string, path: string, body: string): Promise<boolean> {
    const answer = await this.#ask({ method, path: `/v1/kv/${path}`, body });
    return answer.body.trim() === "true";
  }

  async #read(path: string): Promise<Listing> {
    const answer = await this.#ask({ method: "GET", path: `/v1/kv/${path}`, body: "" }, 404);
    const index = BigInt(answer.headers["X-Consul-Index"] ?? "0");
    return { entries: answer.status === 404 ? [] : entriesIn(answer.body), index };
  }

  #ask(request: HttpRequest, alsoAccept = 200): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      this.#carrier(request, {
        response: (response) => {
          const { status, body } = response;
          if (status === 200 || status === alsoAccept) resolve(response);
          else reject(new Error(`Unexpected response code: ${status} (${body})`));
        },
        error: reject,
      });
    });
  }
}

const ENTRY =
  /\{"LockIndex":(\d+),"Key":"([^"]*)","Flags":(\d+),"Value":(?:null|"([^"]*)"),(?:"Session":"([^"]*)",)?"CreateIndex":(\d+),"ModifyIndex":(\d+)\}/g;

/** JSON of JavaScript's would lose bits of the flags. */
function entriesIn(body: string): readonly StoredEntry[] {
  return [...body.matchAll(ENTRY)].map(([, , key, flags, value, session, created, modified]) => ({
    key: key ?? "",
    flags: BigInt(flags ?? 0),
    value: value === undefined ? null : Buffer.from(value, "base64"),
    session: session ?? null,
    createIndex: BigInt(created ?? 0),
    modifyIndex: BigInt(modified ?? 0),
  }));
}
