import { getEventListeners } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";

import { Agent, buildConnector } from "undici";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";

import { ConsulClient } from "../../../../src/client.js";
import type { ConsulClientConfig } from "../../../../src/consul/config/config.js";
import type { RequestOptions } from "../../../../src/consul/http/request-options.js";
import { consulErrorOf, rejectionOf } from "../../rejection.js";
import {
  cutMidBody,
  keepSilent,
  reply,
  replyToRead,
  resetConnection,
  ScriptedServer,
  stopMidBody,
  type ScriptedAnswer,
} from "../../scripted-server.js";

const ID = "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2";
const TOKEN = "3f1c0ffe-e5ec-4e70-b0a7-5ec4e7705ec4";

let server: ScriptedServer;
let clients: ConsulClient[];

beforeEach(async () => {
  vi.stubEnv("CONSUL_HTTP_ADDR", undefined);
  vi.stubEnv("CONSUL_HTTP_TOKEN", undefined);
  server = await ScriptedServer.listen();
  clients = [];
});

afterEach(async () => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
  for (const client of clients) await client.close();
  await server.close();
});

function newClient(config: ConsulClientConfig = {}): ConsulClient {
  const client = new ConsulClient({ address: server.address, ...config });
  clients.push(client);
  return client;
}

/** As of a network where each connection fails with this code. */
function failingToConnect(code: string): Agent {
  return new Agent({
    connect: (_, callback) => {
      callback(Object.assign(new Error(`connect ${code}`), { code }), null);
    },
  });
}

interface Endpoint {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly isRead: boolean;
  readonly call: (client: ConsulClient, options?: RequestOptions) => Promise<unknown>;
}

const ENDPOINTS: readonly Endpoint[] = [
  {
    name: "kv.get",
    method: "GET",
    path: "/v1/kv/jobs/a",
    isRead: true,
    call: ({ kv }, options) => kv.get("jobs/a", options),
  },
  {
    name: "kv.list",
    method: "GET",
    path: "/v1/kv/jobs/?recurse",
    isRead: true,
    call: ({ kv }, options) => kv.list("jobs/", options),
  },
  {
    name: "kv.put",
    method: "PUT",
    path: "/v1/kv/jobs/a",
    isRead: false,
    call: ({ kv }, options) => kv.put({ key: "jobs/a", value: "x" }, options),
  },
  {
    name: "kv.cas",
    method: "PUT",
    path: "/v1/kv/jobs/a?cas=7",
    isRead: false,
    call: ({ kv }, options) => kv.cas({ key: "jobs/a", modifyIndex: 7n }, options),
  },
  {
    name: "kv.acquire",
    method: "PUT",
    path: `/v1/kv/jobs/a?acquire=${ID}`,
    isRead: false,
    call: ({ kv }, options) => kv.acquire({ key: "jobs/a", session: ID }, options),
  },
  {
    name: "kv.release",
    method: "PUT",
    path: `/v1/kv/jobs/a?release=${ID}`,
    isRead: false,
    call: ({ kv }, options) => kv.release({ key: "jobs/a", session: ID }, options),
  },
  {
    name: "kv.delete",
    method: "DELETE",
    path: "/v1/kv/jobs/a",
    isRead: false,
    call: ({ kv }, options) => kv.delete("jobs/a", options),
  },
  {
    name: "kv.deleteCas",
    method: "DELETE",
    path: "/v1/kv/jobs/a?cas=7",
    isRead: false,
    call: ({ kv }, options) => kv.deleteCas({ key: "jobs/a", modifyIndex: 7n }, options),
  },
  {
    name: "kv.txn",
    method: "PUT",
    path: "/v1/txn",
    isRead: false,
    call: ({ kv }, options) => kv.txn([{ verb: "delete", key: "jobs/a" }], options),
  },
  {
    name: "session.create",
    method: "PUT",
    path: "/v1/session/create",
    isRead: false,
    call: ({ session }, options) => session.create({}, options),
  },
  {
    name: "session.renew",
    method: "PUT",
    path: `/v1/session/renew/${ID}`,
    isRead: false,
    call: ({ session }, options) => session.renew(ID, options),
  },
  {
    name: "session.destroy",
    method: "PUT",
    path: `/v1/session/destroy/${ID}`,
    isRead: false,
    call: ({ session }, options) => session.destroy(ID, options),
  },
  {
    name: "session.info",
    method: "GET",
    path: `/v1/session/info/${ID}`,
    isRead: true,
    call: ({ session }, options) => session.info(ID, options),
  },
  {
    name: "session.list",
    method: "GET",
    path: "/v1/session/list",
    isRead: true,
    call: ({ session }, options) => session.list(options),
  },
];

const READS = ENDPOINTS.filter(({ isRead }) => isRead);

const HTML = "<html><body><h1>It works!</h1></body></html>";

/** Answers of 200 that no endpoint gives. */
const STRANGE_BODIES: readonly (readonly [string, string])[] = [
  ["an HTML page", HTML],
  ["nothing", ""],
  ["null", "null"],
  ["a number", "5"],
  ["a string", '"true"'],
  ["an object of another kind", '{"error":"no"}'],
  ["a list of null", "[null]"],
  ["a list of numbers", "[1]"],
  ["a list of objects of another kind", '[{"Id":"a"}]'],
  ["JSON cut short", '[{"Key":"jobs/a","Val'],
  ["two JSON values", "true true"],
];

describe.each(ENDPOINTS)("$name", ({ method, path, isRead, call }) => {
  const headers: Record<string, string> = isRead ? { "x-consul-index": "7" } : {};

  test.each(STRANGE_BODIES)("does not take %s for an answer", async (_, body) => {
    server.next(reply(body, { headers: { ...headers, "content-type": "text/strange" } }));
    const error = await consulErrorOf(call(newClient()));
    expect(error).toMatchObject({ code: "CONSUL_BAD_ANSWER", status: 200, method, path });
    expect(error.text).toBe(body);
    expect(error.message).toContain(`${method} ${path}: expected `);
    expect(error.message).toContain(`from Consul at ${server.address}, got 200 with text/strange`);
    expect(error.message).toContain(body);
    expect(error.retryable).toBe(false);
  });

  test.each([
    ["is reset", resetConnection],
    ["is cut in the middle of the body", cutMidBody(headers)],
  ])("says who did not answer where the connection %s", async (_, answer) => {
    server.next(answer);
    const error = await consulErrorOf(call(newClient()));
    expect(error).toMatchObject({ code: "CONSUL_UNREACHABLE", method, path, retryable: true });
    expect(error.status).toBeUndefined();
    expect(error.message).toContain(
      `${method} ${path}: no answer from Consul at ${server.address}`,
    );
    expect(error.cause).toBeInstanceOf(Error);
  });

  test.each([301, 302, 307, 400, 401, 403, 405, 429, 500, 502, 503])(
    "says what the server said with a status of %d, and follows it nowhere",
    async (status) => {
      server.always(
        reply("  Permission\n denied ", { status, headers: { location: "/v1/elsewhere" } }),
      );
      const error = await consulErrorOf(call(newClient()));
      expect(error).toMatchObject({ code: "CONSUL_STATUS", status, method, path });
      expect(error.text).toBe("Permission denied");
      const said = `Unexpected response code: ${status} (Permission denied) for ${method} ${path} from ${server.address}`;
      // Where something can be done about it, that follows.
      if (status === 401 || status === 403)
        expect(error.message.startsWith(`${said}: `)).toBe(true);
      else expect(error.message).toBe(said);
      expect(error.retryable).toBe(status === 429 || status >= 500);
      expect(server.requests).toHaveLength(1);
    },
  );

  test("does not take a proxy's 404 for Consul's", async () => {
    server.next(reply(HTML, { status: 404, headers: { "content-type": "text/html" } }));
    const error = await consulErrorOf(call(newClient()));
    expect(error).toMatchObject({ status: 404, method, path, text: HTML, retryable: false });
    expect(["CONSUL_STATUS", "CONSUL_BAD_ANSWER"]).toContain(error.code);
    expect(error.message).toContain(`${method} ${path}`);
    expect(error.message).toContain("It works!");
  });

  test("shows only the beginning of a long text", async () => {
    server.next(reply("no ".repeat(10_000), { status: 500 }));
    const error = await consulErrorOf(call(newClient()));
    expect(error.text).toMatch(/^(no )+(no?)?…$/);
    expect(error.message.length).toBeLessThan(500);
  });

  test("sends the client's datacenter, namespace and partition, or those of the request", async () => {
    server.always(reply("", { status: 500 }));
    const client = newClient({ datacenter: "dc1", namespace: "team a", partition: "west&east" });
    await consulErrorOf(call(client));
    expect(server.last.query.get("dc")).toBe("dc1");
    expect(server.last.query.get("ns")).toBe("team a");
    expect(server.last.query.get("partition")).toBe("west&east");
    await consulErrorOf(call(client, { datacenter: "dc+2", namespace: "b", partition: "é" }));
    expect(server.last.query.get("dc")).toBe("dc+2");
    expect(server.last.query.get("ns")).toBe("b");
    expect(server.last.query.get("partition")).toBe("é");
    await consulErrorOf(call(newClient()));
    for (const parameter of ["dc", "ns", "partition"]) {
      expect(server.last.query.has(parameter)).toBe(false);
    }
  });

  test("gives up when its time is over", async () => {
    server.always(keepSilent);
    const error = await consulErrorOf(call(newClient(), { timeout: 20 }));
    expect(error).toMatchObject({ code: "CONSUL_TIMEOUT", method, path, retryable: true });
    expect(error.status).toBeUndefined();
    expect(error.message).toContain(`no complete answer from ${server.address} within 20 ms`);
  });

  test("gives up when its signal aborts, with its reason, and ends the request", async () => {
    const controller = new AbortController();
    const called = rejectionOf(call(newClient(), { signal: controller.signal }));
    const { over } = await server.received(1);
    const reason = new Error("enough");
    controller.abort(reason);
    expect(await called).toBe(reason);
    await over;
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
  });

  test("sends nothing where its signal has aborted before", async () => {
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    expect(await rejectionOf(call(newClient(), { signal }))).toBe(reason);
    expect(server.requests).toHaveLength(0);
  });

  test("ends with the client", async () => {
    const client = newClient();
    const called = consulErrorOf(call(client));
    const { over } = await server.received(1);
    await client.close();
    expect(await called).toMatchObject({ code: "CONSUL_CLOSED", method, path, retryable: false });
    await over;
    expect(await consulErrorOf(call(client))).toMatchObject({ code: "CONSUL_CLOSED", method });
    expect(server.requests).toHaveLength(1);
  });
});

// For these an empty list is the answer that there is no such session, or none at all.
const MAY_BE_EMPTY: ReadonlySet<string> = new Set(["session.info", "session.list"]);

describe.each(ENDPOINTS.filter(({ name }) => !MAY_BE_EMPTY.has(name)))(
  "$name",
  ({ method, path, call }) => {
    test("does not take an empty list for an answer", async () => {
      server.next(replyToRead("[]"));
      const error = await consulErrorOf(call(newClient()));
      expect(error).toMatchObject({ code: "CONSUL_BAD_ANSWER", status: 200, method, path });
    });
  },
);

describe.each(READS)("the index of $name", ({ method, path, call }) => {
  test.each([
    ["is missing", undefined],
    ["is no number", "soon"],
    ["is empty", ""],
    ["is negative", "-1"],
    ["has a fraction", "1.5"],
    ["is written as a double", "1e3"],
    ["is hexadecimal", "0x10"],
    ["has 21 digits", "123456789012345678901"],
  ])("must not be one that %s", async (_, index) => {
    const headers: Record<string, string> = index === undefined ? {} : { "x-consul-index": index };
    server.next(reply("[]", { headers }));
    const error = await consulErrorOf(call(newClient()));
    expect(error).toMatchObject({ code: "CONSUL_BAD_ANSWER", status: 200, method, path });
    expect(error.message).toContain("expected an X-Consul-Index header");
    expect(error.message).toContain(index === undefined ? "found none" : JSON.stringify(index));
  });
});

describe("a deadline", () => {
  const fakeTimers = (): void => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  };

  test.each([
    ["a request", 10_000, {}],
    ["a read with an index of 0", 10_000, { index: 0n }],
    ["a request with a timeout", 3_000, { timeout: 3_000 }],
    ["a blocking query", 300_000 + 18_750 + 10_000, { index: 5n }],
    ["a blocking query of 16 s", 16_000 + 1_000 + 10_000, { index: 5n, wait: "16s" }],
    ["a blocking query of an hour", 600_000 + 37_500 + 10_000, { index: 5n, wait: "1h" }],
    ["a blocking query with a timeout", 4_000, { index: 5n, wait: "16s", timeout: 4_000 }],
  ])("of %s comes after %d ms, and not before", async (_, ms, options) => {
    const client = newClient();
    fakeTimers();
    let over = false;
    const called = consulErrorOf(client.kv.get("a", options)).finally(() => {
      over = true;
    });
    await server.received(1);
    await vi.advanceTimersByTimeAsync(ms - 1);
    expect(over).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect((await called).code).toBe("CONSUL_TIMEOUT");
    await server.last.over;
  });

  test("covers the body as well", async () => {
    const client = newClient();
    server.next(stopMidBody({ "x-consul-index": "7" }));
    const error = await consulErrorOf(client.kv.get("a", { timeout: 500 }));
    expect(error.code).toBe("CONSUL_TIMEOUT");
    await server.last.over;
  });

  test("leaves no timer after an answer", async () => {
    const client = newClient();
    server.next(replyToRead("[]"));
    fakeTimers();
    const before = vi.getTimerCount();
    await client.session.info(ID);
    // What undici keeps for its idle connection is its own.
    await client.close();
    expect(vi.getTimerCount()).toBeLessThanOrEqual(before);
  });
});

describe("an abort", () => {
  test("in the middle of the body ends the request with the signal's reason", async () => {
    const controller = new AbortController();
    server.next(stopMidBody({ "x-consul-index": "7" }));
    const called = rejectionOf(newClient().kv.get("a", { signal: controller.signal }));
    const { over } = await server.received(1);
    controller.abort("enough");
    expect(await called).toBe("enough");
    await over;
  });

  test("without a reason of the caller's gives an AbortError", async () => {
    const controller = new AbortController();
    const called = rejectionOf(newClient().kv.get("a", { signal: controller.signal }));
    await server.received(1);
    controller.abort();
    expect(await called).toBe(controller.signal.reason);
    expect(await called).toHaveProperty("name", "AbortError");
  });

  test("of one request leaves the others alone", async () => {
    const client = newClient();
    const controller = new AbortController();
    const aborted = rejectionOf(client.kv.get("a", { signal: controller.signal }));
    await server.received(1);
    server.next(replyToRead("[]"));
    controller.abort("enough");
    await expect(client.session.info(ID)).resolves.toMatchObject({ value: null });
    expect(await aborted).toBe("enough");
  });
});

describe("a caller's signal", () => {
  const OUTCOMES: readonly (readonly [string, ScriptedAnswer])[] = [
    ["an answer", replyToRead("[]")],
    ["a strange answer", replyToRead(HTML)],
    ["an error status", reply("no", { status: 500 })],
    ["a reset", resetConnection],
    ["a cut", cutMidBody()],
  ];

  test.each(OUTCOMES)("carries no listener after %s", async (_, answer) => {
    const { signal } = new AbortController();
    server.next(answer);
    const called = Promise.allSettled([newClient().session.info(ID, { signal })]);
    await server.received(1);
    await called;
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
  });

  test("carries no listener after a timeout or the client's end", async () => {
    const { signal } = new AbortController();
    const client = newClient();
    await consulErrorOf(client.kv.get("a", { signal, timeout: 20 }));
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
    const called = consulErrorOf(client.kv.get("b", { signal }));
    await client.close();
    expect((await called).code).toBe("CONSUL_CLOSED");
    expect(getEventListeners(signal, "abort")).toHaveLength(0);
  });

  test("carries one listener for any number of requests", async () => {
    const controller = new AbortController();
    const client = newClient();
    const called = Array.from({ length: 30 }, (_, number) =>
      rejectionOf(client.kv.get(`a${number}`, { index: 5n, signal: controller.signal })),
    );
    await server.received(30);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(1);
    controller.abort("enough");
    expect(new Set(await Promise.all(called))).toEqual(new Set(["enough"]));
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
  });
});

describe("closing a client", () => {
  test("ends its connections, and may be done twice", async () => {
    const client = newClient();
    server.next(replyToRead("[]"));
    await client.session.info(ID);
    await Promise.all([client.close(), client.close()]);
    await client.close();
    await server.connectionsClosed();
    expect(server.requests).toHaveLength(1);
  });

  test("leaves a dispatcher open that was given", async () => {
    const dispatcher = new Agent();
    const client = newClient({ dispatcher });
    const under = consulErrorOf(client.kv.get("a"));
    await server.received(1);
    await client.close();
    expect((await under).code).toBe("CONSUL_CLOSED");
    expect(dispatcher.closed).toBe(false);
    expect(dispatcher.destroyed).toBe(false);
    server.next(replyToRead("[]"));
    await expect(newClient({ dispatcher }).session.info(ID)).resolves.toMatchObject({
      value: null,
    });
    await dispatcher.destroy();
  });

  test("says CONSUL_CLOSED also to a request that would have waited long", async () => {
    const client = newClient();
    const called = consulErrorOf(client.kv.list("jobs/", { index: 5n, wait: "10m" }));
    await server.received(1);
    await client.close();
    expect(await called).toMatchObject({
      code: "CONSUL_CLOSED",
      path: "/v1/kv/jobs/?recurse&index=5&wait=600000ms",
    });
  });
});

describe("nobody at the address", () => {
  test("is told with the address and how to change it", async () => {
    const gone = await ScriptedServer.listen();
    const client = newClient({ address: gone.address });
    await gone.close();
    const error = await consulErrorOf(client.kv.get("a"));
    expect(error).toMatchObject({ code: "CONSUL_UNREACHABLE", method: "GET", path: "/v1/kv/a" });
    expect(error.message).toContain(`no answer from Consul at ${gone.address}: `);
    expect(error.message).toContain("ECONNREFUSED");
    expect(error.message).toContain("CONSUL_HTTP_ADDR");
  });

  test("is told for a unix socket as well", async () => {
    const client = newClient({ address: "unix:///nowhere/consul.sock" });
    const error = await consulErrorOf(client.kv.get("a"));
    expect(error.code).toBe("CONSUL_UNREACHABLE");
    expect(error.message).toContain("unix:///nowhere/consul.sock");
  });
});

describe("a failure to connect", () => {
  /** A client of an address where nobody listens, and what then does. */
  async function ofNobody(): Promise<{ client: ConsulClient; socket: string; folder: string }> {
    const folder = await mkdtemp(join(tmpdir(), "consul-"));
    const socket = join(folder, "consul.sock");
    return { client: newClient({ address: `unix://${socket}` }), socket, folder };
  }

  test("may pass, but is told as one of an address where nothing has ever answered: refused", async () => {
    const gone = await ScriptedServer.listen();
    const client = newClient({ address: gone.address });
    await gone.close();
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const error = await consulErrorOf(client.kv.get("a"));
      expect(error).toMatchObject({
        code: "CONSUL_UNREACHABLE",
        retryable: true,
        neverAnswered: true,
        inDoubt: false,
        cause: { code: "ECONNREFUSED" },
      });
    }
  });

  test.each([
    ["an unknown name", "ENOTFOUND"],
    ["a socket that is not there", "ENOENT"],
    ["a socket's folder that is none", "ENOTDIR"],
    ["a refusal", "ECONNREFUSED"],
  ])(
    "may pass, but is told as one of an address where nothing has ever answered: %s",
    async (_, code) => {
      const client = newClient({ dispatcher: failingToConnect(code) });
      expect(await consulErrorOf(client.kv.get("a"))).toMatchObject({
        code: "CONSUL_UNREACHABLE",
        ...{ retryable: true, neverAnswered: true },
      });
    },
  );

  test.each(["EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "ECONNRESET", "EACCES"])(
    "may pass, though nobody has ever answered, where it is of another kind: %s",
    async (code) => {
      const client = newClient({ dispatcher: failingToConnect(code) });
      expect(await consulErrorOf(client.kv.get("a"))).toMatchObject({
        code: "CONSUL_UNREACHABLE",
        ...{ retryable: true, neverAnswered: false },
      });
    },
  );

  const TLS_PROBLEMS = ["ERR_SSL_WRONG_VERSION_NUMBER", "CERT_HAS_EXPIRED", "INVALID_PURPOSE"];

  test.each(TLS_PROBLEMS)(
    "of TLS is for good, but only before anybody has answered: %s",
    async (code) => {
      const trouble = { code: "" };
      const open = buildConnector({});
      const dispatcher = new Agent({
        pipelining: 0,
        connect: (options, callback) => {
          if (trouble.code === "") open(options, callback);
          else callback(Object.assign(new Error(trouble.code), { code: trouble.code }), null);
        },
      });
      trouble.code = code;
      const client = newClient({ dispatcher });
      expect((await consulErrorOf(client.kv.get("a"))).retryable).toBe(false);
      trouble.code = "";
      server.next(reply("no leader", { status: 500, headers: { connection: "close" } }));
      expect((await consulErrorOf(client.kv.get("a"))).code).toBe("CONSUL_STATUS");
      // A certificate is being rotated, say.
      trouble.code = code;
      expect((await consulErrorOf(client.kv.get("a"))).retryable).toBe(true);
      await dispatcher.destroy();
    },
  );

  test.each<[string, ScriptedAnswer]>([
    ["an answer", replyToRead("[]")],
    ["a failure", reply("No cluster leader", { status: 500 })],
    ["garbage", replyToRead("<html>")],
  ])(
    "is no longer one of an address where nothing has answered once something has, if only with %s",
    async (_, answer) => {
      const { client, socket, folder } = await ofNobody();
      try {
        expect((await consulErrorOf(client.session.info(ID))).neverAnswered).toBe(true);
        const started = await ScriptedServer.listen(socket);
        started.always(answer);
        await Promise.allSettled([client.session.info(ID)]);
        expect(started.requests).toHaveLength(1);
        await started.close();
        const error = await consulErrorOf(client.session.info(ID));
        expect(error).toMatchObject({ code: "CONSUL_UNREACHABLE", neverAnswered: false });
      } finally {
        await rm(folder, { recursive: true });
      }
    },
  );

  test("after answers leaves no doubt about a write, unless that may have been sent before", async () => {
    const gone = await ScriptedServer.listen();
    const client = newClient({ address: gone.address });
    const dispatcher = new Agent();
    const given = newClient({ address: gone.address, dispatcher });
    gone.always(reply("true", { headers: { connection: "close" } }));
    await client.kv.put({ key: "a" });
    await given.kv.put({ key: "a" });
    await gone.close();
    const refused = {
      ...{ code: "CONSUL_UNREACHABLE", retryable: true, neverAnswered: false },
      cause: { code: "ECONNREFUSED" },
    };
    const put = await consulErrorOf(client.kv.put({ key: "a" }));
    expect(put).toMatchObject({ ...refused, inDoubt: false });
    const create = await consulErrorOf(client.session.create());
    expect(create).toMatchObject({ ...refused, inDoubt: false });
    const renew = await consulErrorOf(client.session.renew(ID));
    expect(renew).toMatchObject({ ...refused, inDoubt: true });
    const overGiven = await consulErrorOf(given.kv.put({ key: "a" }));
    expect(overGiven).toMatchObject({ ...refused, inDoubt: true });
    await dispatcher.destroy();
  });

  test("counts nobody who did not answer to the end", async () => {
    const { client, socket, folder } = await ofNobody();
    try {
      const started = await ScriptedServer.listen(socket);
      started.always(cutMidBody());
      expect((await consulErrorOf(client.kv.get("a"))).neverAnswered).toBe(false);
      await started.close();
      expect((await consulErrorOf(client.kv.get("a"))).neverAnswered).toBe(true);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("an address", () => {
  test("may be a unix socket", async () => {
    const folder = await mkdtemp(join(tmpdir(), "consul-"));
    const onSocket = await ScriptedServer.listen(join(folder, "consul.sock"));
    try {
      onSocket.always(replyToRead("[]", "11"));
      const client = newClient({ address: onSocket.address });
      const { meta } = await client.session.info(ID);
      expect(meta.index).toBe(11n);
      expect(onSocket.last.path).toBe(`/v1/session/info/${ID}`);
      await client.close();
    } finally {
      await onSocket.close();
      await rm(folder, { recursive: true });
    }
  });

  test("may have a path, which goes before each request's and into no error", async () => {
    server.always(reply("no", { status: 500 }));
    const client = newClient({ address: `${server.address}/consul/` });
    const error = await consulErrorOf(client.kv.get("a"));
    expect(server.last.path).toBe("/consul/v1/kv/a");
    expect(error.path).toBe("/v1/kv/a");
  });
});

/** All that a log might show of a value. */
function shownOf(value: unknown): string {
  const error = value instanceof Error ? value : undefined;
  return [
    String(value),
    inspect(value, { depth: null, showHidden: true, getters: true, maxStringLength: null }),
    JSON.stringify(value),
    JSON.stringify(error, error === undefined ? [] : Object.getOwnPropertyNames(error)),
    error?.stack,
    error?.cause === undefined ? "" : shownOf(error.cause),
  ].join("\n");
}

describe("a token", () => {
  const FAILURES: readonly (readonly [string, ScriptedAnswer])[] = [
    ["a strange answer", reply(HTML)],
    ["a status of 403", reply("Permission denied", { status: 403 })],
    ["a status of 500", reply("no", { status: 500 })],
    ["a reset", resetConnection],
    ["a cut", cutMidBody()],
    ["silence", keepSilent],
  ];

  test("goes into the header that Consul reads, and nowhere else on the wire", async () => {
    server.always(reply("no", { status: 500 }));
    for (const { call } of ENDPOINTS) {
      await consulErrorOf(call(newClient({ token: TOKEN })));
      expect(server.last.headers["x-consul-token"]).toBe(TOKEN);
      expect(server.last.url).not.toContain(TOKEN);
      expect(server.last.body.toString()).not.toContain(TOKEN);
      const others = Object.entries(server.last.headers).filter(
        ([header]) => header !== "x-consul-token",
      );
      expect(JSON.stringify(others)).not.toContain(TOKEN);
    }
  });

  test("comes from CONSUL_HTTP_TOKEN if not given", async () => {
    vi.stubEnv("CONSUL_HTTP_TOKEN", TOKEN);
    server.always(reply("no", { status: 500 }));
    await consulErrorOf(newClient().kv.get("a"));
    expect(server.last.headers["x-consul-token"]).toBe(TOKEN);
    await consulErrorOf(newClient({ token: "other" }).kv.get("a"));
    expect(server.last.headers["x-consul-token"]).toBe("other");
  });

  test("is not sent where there is none", async () => {
    server.always(reply("no", { status: 500 }));
    await consulErrorOf(newClient().kv.get("a"));
    expect(server.last.headers).not.toHaveProperty("x-consul-token");
    await consulErrorOf(newClient({ token: "" }).kv.get("a"));
    expect(server.last.headers).not.toHaveProperty("x-consul-token");
  });

  test.each(FAILURES)("is in no error after %s", async (_, answer) => {
    server.always(answer);
    const client = newClient({ token: TOKEN });
    const errors = await Promise.all(
      ENDPOINTS.map(({ call }) => consulErrorOf(call(client, { timeout: 100 }))),
    );
    for (const error of errors) {
      expect(shownOf(error)).toContain(error.message);
      expect(shownOf(error)).not.toContain(TOKEN);
    }
  });

  test("is in no error where nobody answers, or the client has been closed", async () => {
    const gone = await ScriptedServer.listen();
    const client = newClient({ address: gone.address, token: TOKEN });
    await gone.close();
    expect(shownOf(await consulErrorOf(client.kv.get("a")))).not.toContain(TOKEN);
    await client.close();
    expect(shownOf(await consulErrorOf(client.kv.get("a")))).not.toContain(TOKEN);
  });

  test("is not to be seen in a client, before or after it was used", async () => {
    const client = newClient({ token: TOKEN });
    expect(shownOf(client)).not.toContain(TOKEN);
    server.next(replyToRead("[]"));
    await client.session.info(ID);
    for (const shown of [client, client.kv, client.session]) {
      expect(shownOf(shown)).not.toContain(TOKEN);
    }
    expect(shownOf(client.semaphorePrefix("jobs", 1))).not.toContain(TOKEN);
  });
});

describe("a connection that does not come about", () => {
  const connecting = (): ConsulClient => {
    const client = new ConsulClient({ dispatcher: new Agent({ connect: () => undefined }) });
    clients.push(client);
    return client;
  };

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  test("does not outlast the deadline", async () => {
    const failure = consulErrorOf(connecting().kv.get("a", { timeout: 300 }));
    await vi.advanceTimersByTimeAsync(300);
    expect(await failure).toMatchObject({ code: "CONSUL_TIMEOUT" });
  });

  test("does not outlast an abort", async () => {
    const controller = new AbortController();
    const reason = rejectionOf(connecting().kv.get("a", { signal: controller.signal }));
    controller.abort("enough");
    expect(await reason).toBe("enough");
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("does not outlast the client", async () => {
    const client = connecting();
    const failure = consulErrorOf(client.kv.get("a"));
    await client.close();
    expect(await failure).toMatchObject({ code: "CONSUL_CLOSED" });
  });
});

test.each([
  ["an error page", 502],
  ["a page that passes for an answer", 200],
])("%s that echoes the request's headers brings no token into an error", async (_, status) => {
  const client = new ConsulClient({ address: server.address, token: TOKEN });
  clients.push(client);
  server.always(reply(`x-consul-token: ${TOKEN}`, { status, headers: { "x-consul-index": "1" } }));
  const error = await consulErrorOf(client.kv.get("a"));
  expect(error.text).toContain("***");
  expect(inspect(error, { depth: null, showHidden: true })).not.toContain(TOKEN);
});

test("an echo that a parser chokes on is in no error, not even a part of it", async () => {
  const broken = createServer((socket) => {
    socket.once("data", () => {
      socket.write(`HTTP/1.1 200 OK\r\n\0x-consul-token: ${TOKEN.slice(0, 30)}`);
    });
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => broken.listen(0, "127.0.0.1", resolve));
  const address: unknown = broken.address();
  const { port } = z.object({ port: z.number() }).parse(address);
  const client = new ConsulClient({ address: `127.0.0.1:${port}`, token: TOKEN });
  clients.push(client);
  const error = await consulErrorOf(client.kv.get("a"));
  await client.close();
  broken.close();
  expect(error.code).toBe("CONSUL_UNREACHABLE");
  expect(String(error.cause)).toContain("does not match the HTTP/1.1 protocol");
  expect(error.cause).not.toHaveProperty("data");
  expect(inspect(error, { depth: null, showHidden: true })).not.toContain(TOKEN.slice(0, 20));
});

test("an echo in a header is in no error", async () => {
  const client = newClient({ token: TOKEN });
  server.next(reply("<html>", { headers: { "x-consul-index": "1", "content-type": TOKEN } }));
  const strange = await consulErrorOf(client.kv.get("a"));
  expect(strange.message).toContain("got 200 with ***");
  server.next(reply("[]", { headers: { "x-consul-index": TOKEN } }));
  const indexless = await consulErrorOf(client.kv.get("a"));
  expect(indexless.message).toContain("expected an X-Consul-Index header");
  server.next(reply(`{"Errors":[{"OpIndex":0,"What":"stale ${TOKEN}"}]}`, { status: 409 }));
  const lostRace = await client.kv.txn([{ verb: "delete", key: "a" }]);
  expect(lostRace).toMatchObject({ errors: [{ what: "stale ***" }] });
  for (const shown of [strange, indexless, lostRace]) expect(shownOf(shown)).not.toContain(TOKEN);
});

test("what is hidden of a text changes nothing about what it means", async () => {
  const client = newClient({ httpAuth: { username: "me", password: "valid" } });
  server.next(reply("invalid session", { status: 500 }));
  const error = await consulErrorOf(client.session.create());
  expect(error).toMatchObject({ text: "in*** session", retryable: false });
});

test.each([0, -1, NaN])("a timeout of %d is refused before anything is sent", async (timeout) => {
  const client = new ConsulClient({ address: server.address });
  clients.push(client);
  const error = await consulErrorOf(client.kv.get("a", { timeout }));
  expect(error).toMatchObject({ code: "CONSUL_BAD_REQUEST" });
  expect(error.message).toContain(`invalid timeout ${timeout}`);
  expect(server.requests).toEqual([]);
});

test("a server that is none of HTTP and echoes everything brings no token into an error", async () => {
  const echo = createServer((socket) => socket.pipe(socket));
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  const address: unknown = echo.address();
  const { port } = z.object({ port: z.number() }).parse(address);
  const client = new ConsulClient({ address: `127.0.0.1:${port}`, token: TOKEN });
  clients.push(client);
  const error = await consulErrorOf(client.kv.get("a"));
  echo.close();
  expect(error).toMatchObject({ code: "CONSUL_UNREACHABLE" });
  expect(inspect(error, { depth: null, showHidden: true })).not.toContain(TOKEN);
});

test("a response that exceeds 256 MiB is refused", async () => {
  const controller = {
    ...{ aborted: false, paused: false, reason: null, abort: vi.fn() },
    ...{ pause: () => undefined, resume: () => undefined },
  };
  const mebibyte = Buffer.alloc(2 ** 20);
  const agent = new Agent();
  const dispatcher = agent.compose(() => (_options, handler) => {
    handler.onRequestStart?.(controller, {});
    handler.onResponseStart?.(controller, 200, {}, "OK");
    for (let count = 0; count <= 256; count += 1) handler.onResponseData?.(controller, mebibyte);
    return true;
  });
  const client = new ConsulClient({ address: "http://consul.example", dispatcher });
  clients.push(client);
  const error = await consulErrorOf(client.kv.get("a"));
  expect(error).toMatchObject({
    code: "CONSUL_BAD_ANSWER",
    message: "GET /v1/kv/a: response exceeds 268435456 bytes (from http://consul.example)",
  });
  expect(controller.abort).toHaveBeenCalledOnce();
  await agent.destroy();
});

test("a client without TLS verification warns of it, with the address", () => {
  const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
  const tls = { insecureSkipVerify: true };
  clients.push(new ConsulClient({ address: "https://consul.example:8501", tls }));
  expect(warn.mock.calls).toEqual([
    [
      "TLS verification is off: whatever answers at https://consul.example:8501 is trusted with the token " +
        "(tls.insecureSkipVerify is set, or CONSUL_HTTP_SSL_VERIFY is false)",
      { type: "SecurityWarning", code: "CONSUL_TLS_INSECURE" },
    ],
  ]);
  warn.mockRestore();
});

test("an address with a path is shown with it", async () => {
  const client = new ConsulClient({ address: `${server.address}/behind/a/proxy` });
  clients.push(client);
  server.always(reply("no such page", { status: 404 }));
  const error = await consulErrorOf(client.session.create());
  expect(error.message).toContain(`from ${server.address}/behind/a/proxy`);
  expect(server.requests[0]?.url).toBe("/behind/a/proxy/v1/session/create");
});
