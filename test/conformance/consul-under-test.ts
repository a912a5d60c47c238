import { randomUUID } from "node:crypto";

import { Agent, request, type Dispatcher } from "undici";
import { afterAll, beforeAll, describe } from "vitest";

import { ConsulClient } from "../../src/index.js";
import { startConsul } from "../harness/start-consul.js";
import { CarriedDispatcher } from "../../src/testing/fake-consul/carried-dispatcher.js";
import { FakeConsul } from "../../src/testing/fake-consul/fake-consul.js";
import { globalClock } from "../../src/testing/global-clock.js";
import { TestConsul } from "../../src/testing/index.js";

/** An answer as it came. */
export interface Answer {
  readonly status: number;
  /** JSON without its white space, since an agent in development mode always adds some. */
  readonly body: string;
  header(name: string): string | undefined;
}

/** A Consul that answers the tests: the real one, or the one that claims to be like it. */
export interface RunningConsul {
  readonly address: string;
  readonly dispatcher: Dispatcher;
  stop(): Promise<void>;
}

/** How to reach it, past the library and with it. */
export class ConsulUnderTest {
  #running: RunningConsul | undefined;
  #client: ConsulClient | undefined;

  constructor(private readonly begin: () => Promise<RunningConsul>) {}

  async start(): Promise<void> {
    this.#running = await this.begin();
    const { address, dispatcher } = this.#running;
    this.#client = new ConsulClient({ address, dispatcher });
  }

  async stop(): Promise<void> {
    await this.#client?.close();
    await this.#running?.stop();
  }

  get client(): ConsulClient {
    return started(this.#client);
  }

  async send(method: string, path: string, body?: string | Uint8Array): Promise<Answer> {
    const answer = await this.sendRaw(method, path, body);
    return { ...answer, body: withoutWhitespace(answer.body) };
  }

  /** The answer with all of its white space. */
  async sendRaw(method: string, path: string, body?: string | Uint8Array): Promise<Answer> {
    const { address, dispatcher } = started(this.#running);
    const response = await request(address + path, { dispatcher, method, body: body ?? null });
    const { statusCode: status, headers } = response;
    const header = (name: string): string | undefined => {
      const value = headers[name];
      return Array.isArray(value) ? value[0] : value;
    };
    return { status, body: await response.body.text(), header };
  }

  /** A session past the library. Without more, it has no TTL and no lock-delay. */
  async session(body: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const text = JSON.stringify({ LockDelay: "0s", ...body });
    const { body: answer } = await this.send("PUT", "/v1/session/create", text);
    const id = /^\{"ID":"([0-9a-f-]{36})"\}$/.exec(answer)?.[1];
    if (id === undefined) throw new Error(`no session was made: ${answer}`);
    return id;
  }
}

/** Runs the same tests against the real Consul and against the fake one, which also serves HTTP. */
export function conform(define: (consul: ConsulUnderTest) => void): void {
  const subjects = [
    { name: "the real Consul", begin: startReal },
    { name: "the fake Consul", begin: startFake },
    { name: "the fake Consul over HTTP", begin: startListening },
  ];
  describe.each(subjects)("$name", ({ begin }) => {
    const consul = new ConsulUnderTest(begin);
    beforeAll(() => consul.start());
    afterAll(() => consul.stop());
    define(consul);
  });
}

/** An agent of our own, so that sessions can be short and nobody else writes. */
export async function startReal(): Promise<RunningConsul> {
  const agent = await startConsul({ own: true, hcl: 'session_ttl_min = "1s"' });
  return overHttp(agent.address, () => agent.stop());
}

export async function startListening(): Promise<RunningConsul> {
  const consul = await TestConsul.listen({ shortestTtl: 1_000 });
  return overHttp(consul.address, () => consul.close());
}

function overHttp(address: string, stop: () => Promise<void>): RunningConsul {
  const dispatcher = new Agent();
  return {
    address,
    dispatcher,
    stop: async () => {
      await dispatcher.destroy();
      await stop();
    },
  };
}

export function startFake(): Promise<RunningConsul> {
  const fake = new FakeConsul({ clock: globalClock, shortestTtl: 1_000 });
  const dispatcher = new CarriedDispatcher(fake.carrier);
  return Promise.resolve({
    address: "http://fake-consul",
    dispatcher,
    stop: async () => {
      await dispatcher.destroy();
      fake.dispose();
    },
  });
}

/** A prefix that no other test uses. */
export function freshPrefix(): string {
  return `conformance/${randomUUID()}`;
}

export function indexOf(answer: Answer): bigint {
  return BigInt(answer.header("x-consul-index") ?? "-1");
}

function started<Part>(part: Part | undefined): Part {
  if (part === undefined) throw new Error("not started yet");
  return part;
}

function withoutWhitespace(json: string): string {
  if (!/^[[{"\w]/.test(json) || !json.endsWith("\n")) return json;
  return json.replace(/("(?:[^"\\]|\\.)*")|\s+/g, (_token, text: string | undefined) => text ?? "");
}
