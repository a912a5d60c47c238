// Tokens and passwords are sent, and otherwise nowhere to be found.
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { ConsulClient, type SemaphoreSlot } from "../../src/index.js";
import { CarriedDispatcher } from "../../src/testing/fake-consul/carried-dispatcher.js";
import type { Carrier } from "../../src/testing/fake-consul/carrier.js";
import { FakeConsul } from "../../src/testing/fake-consul/fake-consul.js";
import { globalClock } from "../../src/testing/global-clock.js";
import { reachableText } from "./reachable-text.js";
import { rejectionOf } from "./rejection.js";

const TOKEN = "b1a5c3d2-token";
const PASSWORD = "open/sesame é";
const SECRETS = [TOKEN, PASSWORD, Buffer.from(`proxy:${PASSWORD}`).toString("base64")];
const PREFIX = "jobs/resize";

let consul: FakeConsul;
let client: ConsulClient;
/** Answers in Consul's place, if it is there. */
let instead: Carrier | undefined;
let logged: unknown[];

beforeEach(() => {
  consul = new FakeConsul({ clock: globalClock });
  instead = undefined;
  client = new ConsulClient({
    address: "127.0.0.1:8500",
    token: TOKEN,
    httpAuth: { username: "proxy", password: PASSWORD },
    dispatcher: new CarriedDispatcher((request, receiver) =>
      (instead ?? consul.carrier)(request, receiver),
    ),
  });
  logged = [];
  for (const method of ["log", "info", "warn", "error", "debug"] as const) {
    vi.spyOn(console, method).mockImplementation((...text: unknown[]) => void logged.push(text));
  }
});

afterEach(async () => {
  await client.close();
  consul.dispose();
  vi.restoreAllMocks();
});

function expectNoSecretIn(...values: readonly unknown[]): void {
  for (const value of values) {
    const text = reachableText(value);
    for (const secret of SECRETS) expect(text).not.toContain(secret);
  }
  expect(logged).toEqual([]);
}

test.each<[string, () => unknown]>([
  ["behind a getter", () => new GivesAway()],
  ["in a hidden property", () => Object.defineProperty({}, "token", { value: TOKEN })],
  ["in the name of a property", () => ({ [Symbol(TOKEN)]: 1 })],
  ["in a cause of a cause", () => new Error("", { cause: new Error("", { cause: [TOKEN] }) })],
  ["in a key of a map", () => new Map([[{ deep: [TOKEN] }, 1]])],
  ["in bytes", () => ({ deep: [Buffer.from(TOKEN)] })],
  ["on a function", () => Object.assign(() => 1, { token: TOKEN })],
])("the search finds what is %s", (_, hide) => {
  expect(reachableText(hide())).toContain(TOKEN);
});

class GivesAway {
  readonly #inside = TOKEN;

  get inside(): string {
    return this.#inside;
  }
}

test("in a client, its semaphores and its slots, at any depth", async () => {
  const sem = client.semaphorePrefix(PREFIX, 1);
  const slot = await sem.acquire();
  const other = client.semaphorePrefix(PREFIX, 1);
  const waiting = other.acquire();
  const state = await sem.inspect();
  expectNoSecretIn(client, client.kv, client.session, sem, slot, slot.signal, state, waiting);
  await sem.release();
  const next = await waiting;
  consul.destroySession(next.session);
  await aborted(next);
  expectNoSecretIn(next, next.signal.reason, sem, slot.signal.reason);
  await other.release();
});

test("in what an operation rejects with, though all that was sent is sent back", async () => {
  const echo = JSON.stringify({ "x-consul-token": TOKEN, authorization: PASSWORD, all: SECRETS });
  const sem = client.semaphorePrefix(PREFIX, 1);
  await sem.run(() => undefined);
  for (const status of [200, 400, 401, 403, 404, 409]) {
    instead = (_, receiver) => {
      receiver.response({
        status,
        headers: { "x-consul-index": "1", "x-echo": TOKEN },
        body: echo,
      });
      return () => undefined;
    };
    const others = () => client.semaphorePrefix(`${PREFIX}/${status}`, 1);
    for (const call of [
      () => others().acquire({ timeout: 1 }),
      () => others().tryAcquire({ timeout: 1 }),
      () => client.session.create(),
      () => client.session.list(),
      () => client.kv.put({ key: "a" }),
      () => client.kv.txn([{ verb: "delete", key: "a" }]),
    ]) {
      expectNoSecretIn(await rejectionOf(call()));
    }
    expectNoSecretIn(...(await Promise.allSettled([others().inspect(), others().destroy()])));
  }
  instead = (_, receiver) => {
    receiver.error(new Error(`parser: ${echo}`, { cause: { headers: [TOKEN, PASSWORD] } }));
    return () => undefined;
  };
  expectNoSecretIn(await rejectionOf(client.kv.get("a")), await rejectionOf(client.session.list()));
});

test("in what a configuration is refused with", () => {
  const wrong: readonly (() => ConsulClient)[] = [
    () => new ConsulClient({ token: `${TOKEN} ${PASSWORD}` }),
    () => new ConsulClient({ address: `http://user:${TOKEN}@127.0.0.1:8500` }),
    () => new ConsulClient({ address: `127.0.0.1:8500?token=${TOKEN}` }),
    () => new ConsulClient({ httpAuth: { username: `${TOKEN}:`, password: PASSWORD } }),
    () => new ConsulClient(Object.assign({ token: TOKEN, httpAuth: PASSWORD }, { timeout: 5 })),
  ];
  for (const make of wrong) {
    let refusal: unknown;
    try {
      make();
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toMatchObject({ code: "CONSUL_INVALID_CONFIG" });
    expectNoSecretIn(refusal);
  }
});

async function aborted({ signal }: SemaphoreSlot): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => {
    signal.addEventListener("abort", resolve, { once: true });
  });
}
