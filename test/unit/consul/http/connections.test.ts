import { AsyncLocalStorage, createHook } from "node:async_hooks";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { getEventListeners, once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { Agent } from "undici";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";

import { ConsulClient } from "../../../../src/client.js";
import type { ConsulError } from "../../../../src/consul/http/consul-error.js";
import { Transport } from "../../../../src/consul/http/transport.js";
import { consulErrorOf, rejectionOf } from "../../rejection.js";
import {
  cutMidBody,
  keepSilent,
  reply,
  replyToRead,
  resetConnection,
  ScriptedServer,
  type ScriptedAnswer,
} from "../../scripted-server.js";

const ID = "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2";

const SESSION = reply(
  `[{"ID":"${ID}","Name":"","Node":"n","LockDelay":0,"Behavior":"delete","TTL":"15s",` +
    `"CreateIndex":1,"ModifyIndex":1}]`,
);

const OVER_LIMIT = reply("Your IP is issuing too many concurrent connections", {
  status: 429,
  headers: { connection: "close" },
});

const addressSchema = z.object({ port: z.int() });

const CALLS = 6;
const RENEWALS = 3;

let server: ScriptedServer;
let client: ConsulClient;

beforeEach(async () => {
  server = await ScriptedServer.listen();
  client = new ConsulClient({ address: server.address });
});

afterEach(async () => {
  await client.close();
  await server.close();
});

/** As many of them as there are numbers from 0. */
function times<Result>(count: number, make: (number: number) => Result): Result[] {
  return Array.from({ length: count }, (_, number) => make(number));
}

const put = (key: string, options = {}): Promise<boolean> => client.kv.put({ key }, options);
const renew = (options = {}): Promise<unknown> => client.session.renew(ID, options);
const watch = (): Promise<unknown> => client.kv.list("jobs/", { index: 5n });

/** The errors of calls that get no answer until the client is closed. */
function hanging(count: number, call: () => Promise<unknown>): Promise<ConsulError[]> {
  return Promise.all(times(count, () => consulErrorOf(call())));
}

/** Word of a closed connection takes a few turns of the event loop. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((done) => setImmediate(done));
}

const later =
  (answer: ScriptedAnswer): ScriptedAnswer =>
  (response) => {
    setImmediate(answer, response);
  };

describe("many requests at once", () => {
  test.each([
    ["writes", (number: number) => put(`jobs/${number}`), reply("true"), CALLS],
    ["reads", () => client.session.info(ID), replyToRead("[]"), CALLS],
    ["reads from no index", () => client.session.list({ index: 0n }), replyToRead("[]"), CALLS],
    ["renewals", () => renew(), SESSION, RENEWALS],
  ])("share few connections: %s", async (_, call, answer, most) => {
    server.always(later(answer));
    await Promise.all(times(300, call));
    expect(server.requests).toHaveLength(300);
    expect(server.mostConnections).toBe(most);
  });

  test("use 9 connections where nothing blocks", async () => {
    server.always((response) => {
      later(response.req.url?.includes("renew") === true ? SESSION : reply("true"))(response);
    });
    await Promise.all(times(150, (number) => Promise.all([put(`jobs/${number}`), renew()])));
    expect(server.mostConnections).toBe(CALLS + RENEWALS);
  });

  test.each([
    ["are refused", reply("no", { status: 500 })],
    ["are reset", resetConnection],
    ["are cut", cutMidBody()],
  ])("keep no place where they %s", async (_, answer) => {
    server.always(answer);
    await Promise.all(times(50, (number) => consulErrorOf(put(`jobs/${number}`))));
    expect(server.requests).toHaveLength(50);
    server.always(reply("true"));
    await expect(Promise.all(times(50, (number) => put(`jobs/${number}`)))).resolves.toHaveLength(
      50,
    );
  });

  test("keep no place where nobody is there", async () => {
    const folder = await mkdtemp(join(tmpdir(), "consul-"));
    const socket = join(folder, "consul.sock");
    const early = new ConsulClient({ address: `unix://${socket}` });
    await Promise.all(times(50, (number) => consulErrorOf(early.kv.delete(`${number}`))));
    const started = await ScriptedServer.listen(socket);
    try {
      started.always(later(reply("true")));
      await Promise.all(times(50, (number) => early.kv.delete(`${number}`)));
      expect(started.mostConnections).toBe(CALLS);
    } finally {
      await early.close();
      await started.close();
      await rm(folder, { recursive: true });
    }
  });

  test("that come one after another use one connection", async () => {
    server.always(reply("true"));
    for (let number = 0; number < 20; number += 1) await put(`jobs/${number}`);
    expect(server.mostConnections).toBe(1);
  });

  test("are as few over a dispatcher that was given", async () => {
    const dispatcher = new Agent();
    const given = new ConsulClient({ address: server.address, dispatcher });
    server.always((response) => {
      later(response.req.url?.includes("renew") === true ? SESSION : reply("true"))(response);
    });
    await Promise.all(
      times(150, (number) =>
        Promise.all([given.kv.delete(`jobs/${number}`), given.session.renew(ID)]),
      ),
    );
    expect(server.requests).toHaveLength(300);
    // undici opens another one where that of the last answer does not count as free yet.
    expect(server.mostConnections).toBeLessThanOrEqual(2 * (CALLS + RENEWALS));
    await given.close();
    await dispatcher.destroy();
  });
});

describe("a renewal's connection", () => {
  const create = (): Promise<unknown> => client.session.create();

  test("is there when the first session has been created, and no later one needs another", async () => {
    server.always(reply(`{"ID":"${ID}"}`));
    await create();
    server.always(SESSION);
    await renew();
    expect(server.mostConnections).toBe(1);
    server.always(reply(`{"ID":"${ID}"}`));
    await Promise.all(times(20, create));
    server.always(SESSION);
    await renew();
    expect(server.mostConnections).toBe(1 + CALLS);
  });

  test("is not waited for by sessions that are created at once", async () => {
    void hanging(1, create);
    await server.received(1);
    server.always(reply(`{"ID":"${ID}"}`));
    await expect(Promise.all(times(20, create))).resolves.toHaveLength(20);
    server.always(SESSION);
    await expect(renew({ timeout: 1_000 })).resolves.toMatchObject({ id: ID });
  });

  test("is not waited for while a creation hangs, and the renewal of another session", async () => {
    void hanging(1, create);
    await server.received(1);
    void hanging(1, renew);
    await server.received(2);
    server.always(SESSION);
    await expect(renew({ timeout: 1_000 })).resolves.toMatchObject({ id: ID });
  });

  test("that was closed is replaced at once: a renewal may be sent twice", async () => {
    server.always(SESSION);
    await renew();
    server.next(resetConnection);
    await expect(renew()).resolves.toMatchObject({ id: ID });
    expect(server.requests).toHaveLength(3);
  });
});

describe("where the agent takes no more connections", () => {
  test.each([
    ["closes them", resetConnection],
    ["says so", OVER_LIMIT],
  ])("and %s, one that there is does for all", async (_, refusal) => {
    let open: unknown;
    server.next((response) => {
      open = response.socket;
      SESSION(response);
    });
    await renew();
    server.always((response) => {
      (response.socket === open ? later(reply("true")) : refusal)(response);
    });
    await consulErrorOf(put("refused"));
    await expect(Promise.all(times(20, (number) => put(`jobs/${number}`)))).resolves.toHaveLength(
      20,
    );
  });
});

describe.each([
  ["of the client's own", (): undefined => undefined],
  ["of a dispatcher that was given", () => new Agent()],
])("connections %s", (_, makeDispatcher) => {
  let calling: ConsulClient;

  beforeEach(() => {
    const dispatcher = makeDispatcher();
    calling = new ConsulClient({ address: server.address, ...(dispatcher && { dispatcher }) });
    onTestFinished(async () => {
      await calling.close();
      await dispatcher?.destroy();
    });
  });

  test.each([
    ["a read", {}],
    ["a blocking query", { index: 5n }],
  ])("%s that is cut is not sent again and again while another is under way", async (__, index) => {
    server.always((response) => {
      (response.req.url?.includes("hung") === true ? keepSilent : cutMidBody())(response);
    });
    const hung = consulErrorOf(calling.kv.get("hung", index));
    await server.received(1);
    const { code } = await consulErrorOf(calling.kv.get("cut", { ...index, timeout: 5_000 }));
    expect(code).toBe("CONSUL_UNREACHABLE");
    expect(server.requests).toHaveLength(2);
    await calling.close();
    await hung;
  });

  test("have room for a renewal while writes hang, also once one was refused", async () => {
    server.next(SESSION);
    await calling.session.renew(ID);
    server.always((response) => {
      const { url = "" } = response.req;
      if (url.includes("renew")) SESSION(response);
      else if (url.includes("index")) resetConnection(response);
    });
    const write = (): Promise<ConsulError> => consulErrorOf(calling.kv.put({ key: "hung" }));
    const hung = times(CALLS, write);
    await server.received(1 + CALLS);
    await consulErrorOf(calling.kv.get("refused", { index: 5n }));
    hung.push(write());
    await settled();
    await expect(calling.session.renew(ID, { timeout: 5_000 })).resolves.toMatchObject({ id: ID });
    await calling.close();
    await Promise.all(hung);
  });

  test("are as many as before for blocking queries once a call was refused", async () => {
    const answers: (() => void)[] = [];
    server.always((response) => {
      if (response.req.url?.includes("index") !== true) resetConnection(response);
      else
        answers.push(() => {
          replyToRead("[]")(response);
        });
    });
    const lists = (): Promise<unknown>[] => times(4, () => calling.session.list({ index: 5n }));
    const before = lists();
    await server.received(4);
    await consulErrorOf(calling.kv.get("refused"));
    for (const answer of answers.splice(0)) answer();
    await Promise.all(before);
    const after = lists();
    await server.received(9);
    for (const answer of answers) answer();
    await Promise.all(after);
  });
});

describe("over a dispatcher that was given, where the agent takes no more connections", () => {
  let given: ConsulClient;

  beforeEach(() => {
    const dispatcher = new Agent();
    given = new ConsulClient({ address: server.address, dispatcher });
    onTestFinished(async () => {
      await given.close();
      await dispatcher.destroy();
    });
  });

  test("no more are opened than there are calls at once", async () => {
    server.next(OVER_LIMIT);
    server.always(later(later(reply("true"))));
    await Promise.all(times(300, (number) => given.kv.delete(`jobs/${number}`)));
    expect(server.requests).toHaveLength(301);
    // One more is the one that was refused.
    expect(server.mostConnections).toBeLessThanOrEqual(CALLS + 1);
  });

  test("blocking queries leave none behind, and calls do", async () => {
    server.next(OVER_LIMIT);
    await consulErrorOf(given.kv.delete("refused"));
    server.always(replyToRead("[]"));
    await given.session.list({ index: 5n });
    expect(server.last.headers.connection).toBe("close");
    await given.session.list();
    expect(server.last.headers.connection).toBe("keep-alive");
  });
});

test("a connection of a given dispatcher that is reset does not mean that the agent is full", async () => {
  const dispatcher = new Agent();
  let refused = 0;
  const transport = new Transport({ address: server.address, dispatcher }, () => (refused += 1));
  server.next(reply("true"), resetConnection);
  await transport.send({ method: "GET", path: "/v1/a", options: {}, lane: "watch" });
  await settled();
  await consulErrorOf(transport.send({ method: "GET", path: "/v1/b", options: {} }));
  expect(refused).toBe(0);
  await transport.close();
  await dispatcher.destroy();
});

describe("where the agent takes but one connection", () => {
  const TOO_MANY = reply("Your IP is issuing too many concurrent connections", {
    status: 429,
    headers: { connection: "close" },
  });

  /** Opens one, and has the server refuse all others. */
  async function openOne(refusal: ScriptedAnswer, answer: ScriptedAnswer): Promise<void> {
    let open: unknown;
    server.next((response) => {
      open = response.socket;
      reply("true")(response);
    });
    await put("first");
    server.always((response) => {
      (response.socket === open ? later(answer) : refusal)(response);
    });
  }

  test.each([resetConnection, TOO_MANY])("a session is created over it", async (refusal) => {
    await openOne(refusal, reply(`{"ID":"${ID}"}`));
    await consulErrorOf(client.session.create());
    await expect(client.session.create()).resolves.toBe(ID);
  });

  test("what was refused with 429 is sent over it", async () => {
    await openOne(TOO_MANY, reply("true"));
    await expect(Promise.all(times(4, (number) => put(`jobs/${number}`)))).resolves.toHaveLength(4);
  });

  test("none is asked for again and again while that one is in use", async () => {
    void hanging(1, watch);
    await server.received(1);
    // Without word that it is about to close.
    server.always(later(reply("Too many concurrent connections", { status: 429 })));
    void hanging(1, watch);
    await server.received(2);
    for (let round = 0; round < 20; round += 1) await settled();
    expect(server.requests).toHaveLength(2);
  });

  test("those that wait for another have one after ten seconds", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    void hanging(1, watch);
    await server.received(1);
    server.next(resetConnection);
    const watched = watch().catch(() => undefined);
    await server.received(2);
    await settled();
    await vi.advanceTimersByTimeAsync(9_000);
    expect(server.requests).toHaveLength(2);
    server.next(replyToRead("[]"));
    await vi.advanceTimersByTimeAsync(1_000);
    await watched;
    expect(server.requests).toHaveLength(3);
  });
});

test("a connection that is cut only after a while leaves the others alone", async () => {
  let cut = (): unknown => undefined;
  server.next((response) => {
    cut = () => response.socket?.destroy();
  });
  server.always(later(reply("true")));
  const watched = consulErrorOf(watch());
  await server.received(1);
  // As the clock of the client has it.
  vi.spyOn(performance, "now").mockReturnValue(performance.now() + 2_000);
  onTestFinished(() => void vi.restoreAllMocks());
  cut();
  await watched;
  await Promise.all(times(CALLS, (number) => put(`jobs/${number}`)));
  expect(server.mostConnections).toBe(CALLS);
});

test("what is cut only after a while is not sent again over another connection", async () => {
  void hanging(1, watch);
  await server.received(1);
  let cut = (): unknown => undefined;
  server.next((response) => {
    cut = () => response.socket?.destroy();
  });
  const watched = consulErrorOf(watch());
  await server.received(2);
  // As the clock of the client has it.
  vi.spyOn(performance, "now").mockReturnValue(performance.now() + 2_000);
  onTestFinished(() => void vi.restoreAllMocks());
  cut();
  expect((await watched).code).toBe("CONSUL_UNREACHABLE");
  expect(server.requests).toHaveLength(2);
});

test("an attempt to connect ends with the request that began it", { timeout: 8_000 }, async () => {
  // It accepts, and answers no handshake.
  const mute = createServer().listen(0, "127.0.0.1");
  await once(mute, "listening");
  const { port } = addressSchema.parse(mute.address());
  const connected = new Promise<Socket>((resolve) => mute.once("connection", resolve));
  const calling = new ConsulClient({ address: `https://127.0.0.1:${port}` });
  const called = consulErrorOf(calling.kv.get("a", { timeout: 500 }));
  const closed = once((await connected).resume(), "close");
  expect((await called).code).toBe("CONSUL_TIMEOUT");
  await closed;
  await calling.close();
  mute.close();
});

describe("what gets no answer", () => {
  test("does not keep others waiting: a renewal, behind all the writes", async () => {
    void hanging(CALLS, () => put("a"));
    await server.received(CALLS);
    server.always(SESSION);
    await expect(renew({ timeout: 1_000 })).resolves.toMatchObject({ id: ID });
  });

  test("does not keep others waiting: a write, behind all the renewals", async () => {
    void hanging(RENEWALS, renew);
    await server.received(RENEWALS);
    server.always(reply("true"));
    await expect(put("a", { timeout: 1_000 })).resolves.toBe(true);
  });

  test("does not keep others waiting: anything, behind blocking queries", async () => {
    void hanging(100, watch);
    await server.received(100);
    expect(server.mostConnections).toBe(100);
    server.next(reply("true"));
    await expect(put("a", { timeout: 1_000 })).resolves.toBe(true);
    server.next(SESSION);
    await expect(renew({ timeout: 1_000 })).resolves.toMatchObject({ id: ID });
    server.next(replyToRead("[]"));
    const { value } = await client.session.info(ID, { index: 5n, timeout: 1_000 });
    expect(value).toBeNull();
  });

  test("frees its connection when its time is over", async () => {
    server.next(...times(CALLS, () => keepSilent));
    server.always(reply("true"));
    const hung = times(CALLS, () => consulErrorOf(put("hung", { timeout: 50 })));
    await server.received(CALLS);
    await expect(put("after", { timeout: 5_000 })).resolves.toBe(true);
    for (const { code } of await Promise.all(hung)) expect(code).toBe("CONSUL_TIMEOUT");
  });
});

describe("a request that waits for a connection", () => {
  const keysSent = (): string[] => server.requests.map(({ path }) => path.replace("/v1/kv/", ""));

  /** Leaves no connection free, and gives back how to free them all, with an answer. */
  async function allInUse(): Promise<() => Promise<void>> {
    const answers: (() => void)[] = [];
    server.always((response) => {
      answers.push(() => {
        reply("true")(response);
      });
    });
    const taken = Promise.allSettled(times(CALLS, () => put("first")));
    await server.received(CALLS);
    server.always(reply("true"));
    return async () => {
      for (const answer of answers) answer();
      await taken;
    };
  }

  test("is never sent after its time is over, which ran while it waited", async () => {
    const free = await allInUse();
    const error = await consulErrorOf(put("late", { timeout: 30 }));
    expect(error).toMatchObject({ code: "CONSUL_TIMEOUT" });
    await free();
    await put("next");
    await sleep(20);
    expect(keysSent()).toEqual([...times(CALLS, () => "first"), "next"]);
  });

  test("is never sent after its signal has aborted, and leaves nothing on it", async () => {
    const free = await allInUse();
    const controller = new AbortController();
    const outcomes = times(100, () => rejectionOf(put("late", { signal: controller.signal })));
    const next = put("next");
    controller.abort("enough");
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(["enough"]));
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
    await free();
    await next;
    await sleep(20);
    expect(keysSent()).toEqual([...times(CALLS, () => "first"), "next"]);
  });

  test("is never sent after its time is over, where those before it were given up as well", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const hung = times(CALLS, () => consulErrorOf(put("first", { timeout: 60 })));
    const late = times(CALLS, () => consulErrorOf(put("late", { timeout: 50 })));
    await server.received(CALLS);
    await vi.advanceTimersByTimeAsync(60);
    vi.useRealTimers();
    for (const { code } of await Promise.all([...hung, ...late])) {
      expect(code).toBe("CONSUL_TIMEOUT");
    }
    server.always(reply("true"));
    await put("next");
    await sleep(20);
    expect(keysSent()).toEqual([...times(CALLS, () => "first"), "next"]);
  });

  test("has no connection opened for it when its time is over, as that of many others", async () => {
    let attempts = 0;
    const count = (): void => {
      attempts += 1;
    };
    subscribe("undici:client:beforeConnect", count);
    onTestFinished(() => {
      unsubscribe("undici:client:beforeConnect", count);
    });
    server.always(keepSilent);
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const outcomes = times(200, () => consulErrorOf(renew({ timeout: 100 })));
    await server.received(RENEWALS);
    await vi.advanceTimersByTimeAsync(100);
    vi.useRealTimers();
    for (const { code } of await Promise.all(outcomes)) expect(code).toBe("CONSUL_TIMEOUT");
    await settled();
    expect(attempts).toBe(RENEWALS);
  });

  test("leaves the places to the others when its signal aborts as its turn comes", async () => {
    const free = await allInUse();
    const controller = new AbortController();
    const given = Promise.allSettled(
      times(CALLS * 2, () => put("given up", { signal: controller.signal })),
    );
    const freed = free();
    await server.received(CALLS + 1);
    controller.abort();
    await Promise.all([freed, given]);
    await expect(Promise.all(times(50, () => put("next")))).resolves.toHaveLength(50);
  });

  test("has its turn after those that came before it", async () => {
    let freeOne = (): void => undefined;
    server.next((response) => {
      freeOne = () => {
        reply("true")(response);
      };
    });
    void Promise.allSettled(times(CALLS, () => put("hung")));
    await server.received(CALLS);
    server.always(reply("true"));
    const waiting = times(20, (number) => put(`${number}`));
    freeOne();
    await Promise.all(waiting);
    expect(keysSent().slice(CALLS)).toEqual(times(20, String));
  });

  test("leaves a connection as it is when its signal aborts in the same tick", async () => {
    const sockets = new Set<unknown>();
    server.always((response) => {
      sockets.add(response.socket);
      reply("true")(response);
    });
    await put("first");
    const controller = new AbortController();
    const aborted = rejectionOf(put("aborted", { signal: controller.signal }));
    controller.abort("enough");
    expect(await aborted).toBe("enough");
    await put("last");
    expect(keysSent()).toEqual(["first", "last"]);
    expect(sockets.size).toBe(1);
  });

  test("ends with the client", async () => {
    await allInUse();
    const waiting = consulErrorOf(put("late"));
    await client.close();
    expect(await waiting).toMatchObject({ code: "CONSUL_CLOSED" });
    expect(keysSent()).not.toContain("late");
  });
});

test("the end of the client ends what is on all connections, and closes them", async () => {
  const outcomes = [hanging(3, watch), hanging(RENEWALS, renew), hanging(CALLS, () => put("a"))];
  await server.received(3 + RENEWALS + CALLS);
  await client.close();
  for (const { code } of (await Promise.all(outcomes)).flat()) expect(code).toBe("CONSUL_CLOSED");
  await server.connectionsClosed();
});

test("a connection belongs to no caller's async context, and a call stays in its own", async () => {
  const caller = new AsyncLocalStorage<string>();
  const seen: string[] = [];
  const see = (event: string): void => void seen.push(`${event} for ${caller.getStore() ?? "all"}`);
  const onSocket = (message: unknown): void => {
    see("created");
    if (typeof message !== "object" || message === null || !("socket" in message)) return;
    if (!(message.socket instanceof Socket)) return;
    message.socket.once("connect", () => {
      see("connected");
    });
  };
  // Where Node publishes each client socket, as it creates it.
  subscribe("net.client.socket", onSocket);
  onTestFinished(() => void unsubscribe("net.client.socket", onSocket));

  server.always(later(reply("true")));
  await caller.run("one caller", async () => {
    await put("a");
    expect(caller.getStore()).toBe("one caller");
    await Promise.all(times(2, () => put("b")));
    expect(caller.getStore()).toBe("one caller");
  });
  expect(seen.sort()).toEqual([
    ...times(2, () => "connected for all"),
    ...times(2, () => "created for all"),
  ]);
});

test("a connection that is refused leaves no timer in its caller's async context", async () => {
  const caller = new AsyncLocalStorage<string>();
  const timers = new Set<number>();
  const hook = createHook({
    init(id, type) {
      if (type === "Timeout" && caller.getStore() !== undefined) timers.add(id);
    },
    destroy(id) {
      timers.delete(id);
    },
  }).enable();
  onTestFinished(() => void hook.disable());
  server.always(resetConnection);
  const { code } = await caller.run("one caller", () => consulErrorOf(put("refused")));
  expect(code).toBe("CONSUL_UNREACHABLE");
  await settled();
  expect(timers.size).toBe(0);
});
