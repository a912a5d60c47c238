// Whatever a server says, a request comes to an end: with an answer that is one, or with an error
// that says what was wrong and shows no secret.
import { inspect } from "node:util";

import fc from "fast-check";
import { expect, test } from "vitest";

import { ConsulClient, ConsulError, type KVEntry, type SessionEntry } from "../../src/index.js";
import { fuzzAnswers, fuzzSeed } from "./extent.js";
import { rawAnswers, type AnswerTo } from "./raw-answers.js";
import { RawServer } from "./raw-server.js";

/** Requests that go on side by side, each with a server of its own. */
const LANES = 10;
const ROUND = 10;
/** A request over a connection that the server has just ended gets no answer: so some more. */
const ROUNDS = (1.5 * fuzzAnswers) / LANES / ROUND;

const ID = "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2";
const TOKEN = "7ab5f1c2-secret-token";
const PASSWORD = "pass:word/+é";
const SECRETS = [TOKEN, PASSWORD, Buffer.from(`proxy:${PASSWORD}`).toString("base64")];

/** An answer that never ends is given up after this; no other takes so long. */
const TIMEOUT_MS = 150;

interface Operation {
  readonly name: string;
  /** Rejects as the operation does, and with an error of the test's for an unsound result. */
  readonly attempt: (client: ConsulClient) => Promise<void>;
}

/** `isSound`: whether a result is one that the method's type allows. */
function operation<Result>(
  name: string,
  call: (client: ConsulClient) => Promise<Result>,
  isSound: (result: Result) => boolean,
): Operation {
  return {
    name,
    attempt: async (client) => {
      const result = await call(client);
      if (!isSound(result)) throw new Error(`${name} resolved to ${inspect(result)}`);
    },
  };
}

const options = { timeout: TIMEOUT_MS };
const isEntry = (entry: KVEntry): boolean =>
  typeof entry.key === "string" &&
  [entry.flags, entry.createIndex, entry.modifyIndex, entry.lockIndex].every(isUint64) &&
  (entry.value === null || entry.value instanceof Uint8Array);
const isSession = ({ id, createIndex, ttl }: SessionEntry): boolean =>
  id.length > 0 && isUint64(createIndex) && typeof ttl === "string";
const isUint64 = (value: unknown): boolean =>
  typeof value === "bigint" && value >= 0n && value < 2n ** 64n;
const isBoolean = (value: unknown): boolean => typeof value === "boolean";

const OPERATIONS: readonly Operation[] = [
  operation(
    "kv.get",
    ({ kv }) => kv.get("a", { ...options, index: 3n }),
    ({ value, meta }) => (value === null || isEntry(value)) && typeof meta.index === "bigint",
  ),
  operation(
    "kv.list",
    ({ kv }) => kv.list("a", options),
    ({ value }) => value.every(isEntry),
  ),
  operation("kv.put", ({ kv }) => kv.put({ key: "a" }, options), isBoolean),
  operation("kv.cas", ({ kv }) => kv.cas({ key: "a", modifyIndex: 1n }, options), isBoolean),
  operation("kv.delete", ({ kv }) => kv.delete("a", options), isBoolean),
  operation("kv.acquire", ({ kv }) => kv.acquire({ key: "a", session: ID }, options), isBoolean),
  operation("kv.release", ({ kv }) => kv.release({ key: "a", session: ID }, options), isBoolean),
  operation(
    "kv.txn",
    ({ kv }) => kv.txn([{ verb: "delete", key: "a" }], options),
    (outcome) => (outcome.applied ? outcome.entries.every(isEntry) : outcome.errors.length > 0),
  ),
  operation(
    "session.create",
    ({ session }) => session.create({}, options),
    (id) => typeof id === "string" && id.length > 0,
  ),
  operation(
    "session.renew",
    ({ session }) => session.renew(ID, options),
    (entry) => entry === null || isSession(entry),
  ),
  operation("session.destroy", ({ session }) => session.destroy(ID, options), isBoolean),
  operation(
    "session.info",
    ({ session }) => session.info(ID, options),
    ({ value }) => value === null || isSession(value),
  ),
  operation(
    "session.list",
    ({ session }) => session.list(options),
    ({ value }) => value.every(isSession),
  ),
];

/** A client with a server that says what it is told to. */
class Lane {
  readonly client: ConsulClient;
  readonly #server: RawServer;
  readonly #answer: { next: AnswerTo };

  private constructor(server: RawServer, answer: { next: AnswerTo }) {
    this.#server = server;
    this.#answer = answer;
    this.client = new ConsulClient({
      address: server.address,
      token: TOKEN,
      httpAuth: { username: "proxy", password: PASSWORD },
    });
  }

  static async open(count: () => void): Promise<Lane> {
    const answer: { next: AnswerTo } = { next: () => ({ pieces: [], after: "ends" }) };
    const server = await RawServer.listen((request) => {
      count();
      return answer.next(request);
    });
    return new Lane(server, answer);
  }

  async ask({ name, attempt }: Operation, answer: AnswerTo): Promise<void> {
    this.#answer.next = answer;
    try {
      await attempt(this.client);
    } catch (error) {
      expect(error, name).toBeInstanceOf(ConsulError);
      const shown = inspect(error, { depth: null, showHidden: true }) + JSON.stringify(error);
      for (const secret of SECRETS) expect(shown, name).not.toContain(secret);
    }
  }

  async close(): Promise<void> {
    await this.client.close();
    // It is the client that has closed them.
    await this.#server.allClosed();
    await this.#server.close();
  }
}

test(
  `${fuzzAnswers} answers of any kind end in a result or in an error of ours`,
  { timeout: 180_000 },
  async () => {
    let answers = 0;
    const lanes = await Promise.all(
      Array.from({ length: LANES }, () =>
        Lane.open(() => {
          answers += 1;
        }),
      ),
    );
    const exchange = fc.record({ operation: fc.constantFrom(...OPERATIONS), answer: rawAnswers });
    const script = fc.array(exchange, { minLength: ROUND, maxLength: ROUND });
    await fc.assert(
      fc.asyncProperty(fc.tuple(...lanes.map(() => script)), async (scripts) => {
        await Promise.all(
          lanes.map(async (lane, index) => {
            for (const { operation: asked, answer } of scripts[index] ?? []) {
              await lane.ask(asked, answer);
            }
          }),
        );
      }),
      { numRuns: ROUNDS, seed: fuzzSeed, endOnFailure: true },
    );
    await Promise.all(lanes.map((lane) => lane.close()));
    expect(answers).toBeGreaterThanOrEqual(fuzzAnswers);
  },
);
