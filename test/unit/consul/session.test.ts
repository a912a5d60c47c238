import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";

import { ConsulClient } from "../../../src/client.js";
import { consulErrorOf } from "../rejection.js";
import { reply, replyToRead, ScriptedServer } from "../scripted-server.js";

const ID = "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2";

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

/** A session as Consul 1.8 writes it. */
const SESSION = {
  ID,
  Name: "Consul API Semaphore",
  Node: "agent-one",
  LockDelay: 15_000_000_000,
  Behavior: "delete",
  TTL: "15s",
  NodeChecks: ["serfHealth"],
  ServiceChecks: null,
  CreateIndex: 5,
  ModifyIndex: 6,
};

const READ = {
  id: ID,
  name: "Consul API Semaphore",
  node: "agent-one",
  lockDelay: 15_000,
  behavior: "delete",
  ttl: "15s",
  checks: ["serfHealth"],
  createIndex: 5n,
  modifyIndex: 6n,
};

describe("creating a session", () => {
  beforeEach(() => {
    server.always(reply(`{"ID":"${ID}"}`));
  });

  async function bodyFor(spec?: Parameters<typeof client.session.create>[0]): Promise<unknown> {
    expect(await client.session.create(spec)).toBe(ID);
    expect(server.last).toMatchObject({ method: "PUT", url: "/v1/session/create" });
    return JSON.parse(server.last.body.toString());
  }

  test("leaves to Consul what is not given", async () => {
    expect(await bodyFor()).toEqual({});
    expect(await bodyFor({ name: undefined, ttl: undefined, checks: undefined })).toEqual({});
  });

  test("sends everything that is given", async () => {
    const spec = {
      name: 'an "odd" näme',
      node: "agent-two",
      ttl: "15s",
      behavior: "delete",
      lockDelay: "1s",
      checks: ["serfHealth", "disk"],
    } as const;
    expect(await bodyFor(spec)).toEqual({
      Name: 'an "odd" näme',
      Node: "agent-two",
      TTL: "15s",
      Behavior: "delete",
      LockDelay: "1000ms",
      Checks: ["serfHealth", "disk"],
      NodeChecks: ["serfHealth", "disk"],
    });
  });

  test.each([
    ["15s", "15s"],
    ["1h30m", "1h30m"],
    [15_000, "15000ms"],
    [10_000.5, "10000.5ms"],
  ])("sends a TTL of %j as %j, which Go reads", async (ttl, written) => {
    expect(await bodyFor({ ttl })).toEqual({ TTL: written });
  });

  test.each([
    [0, "0ms"],
    ["0s", "0ms"],
    // Consul takes less than a microsecond for a number of seconds.
    ["1ns", "1ms"],
    [0.5, "1ms"],
    [1, "1ms"],
    [1.5, "1.5ms"],
    [15_000.123456, "15000.123456ms"],
    [15_000.000001, "15000.000001ms"],
    [15_999.99999, "15999.99999ms"],
    ["1m", "60000ms"],
  ])("sends a lock delay of %j as %j", async (lockDelay, written) => {
    expect(await bodyFor({ lockDelay })).toEqual({ LockDelay: written });
  });

  test("without checks turns off both lists, the old and the new", async () => {
    expect(await bodyFor({ checks: [] })).toEqual({ Checks: [], NodeChecks: [] });
  });

  test.each(['{"ID":""}', '{"ID":5}', "{}", '{"id":"a"}', `"${ID}"`])(
    "does not take %j for an ID",
    async (body) => {
      server.next(reply(body));
      const error = await consulErrorOf(client.session.create());
      expect(error.code).toBe("CONSUL_BAD_ANSWER");
      expect(error.message).toContain("expected the ID of a new session");
    },
  );
});

describe("renewing a session", () => {
  test("gives the session as Consul has it", async () => {
    server.next(reply(JSON.stringify([SESSION])));
    expect(await client.session.renew(ID)).toEqual(READ);
    expect(server.last).toMatchObject({ method: "PUT", url: `/v1/session/renew/${ID}` });
  });

  test("gives null where Consul says that there is none of that ID", async () => {
    server.next(reply(`Session id '${ID}' not found`, { status: 404 }));
    expect(await client.session.renew(ID)).toBeNull();
  });

  test.each([
    ["an HTML page", "<html>404 Not Found</html>"],
    ["nothing", ""],
    ["another session", "Session id 'other' not found"],
  ])("does not take a 404 that says %s for the end of the session", async (_, body) => {
    server.next(reply(body, { status: 404 }));
    const error = await consulErrorOf(client.session.renew(ID));
    expect(error).toMatchObject({ code: "CONSUL_BAD_ANSWER", status: 404 });
  });
});

describe("asking for a session", () => {
  test("gives it with the index to wait on", async () => {
    server.next(replyToRead(JSON.stringify([SESSION]), "9"));
    const { value, meta } = await client.session.info(ID);
    expect(value).toEqual(READ);
    expect(meta.index).toBe(9n);
  });

  test("gives null where there is none", async () => {
    server.next(replyToRead("[]", "9"));
    expect(await client.session.info(ID)).toMatchObject({ value: null, meta: { index: 9n } });
  });

  test.each([
    ["an agent before 1.7", { Checks: ["serfHealth"] }, ["serfHealth"]],
    ["a newer agent", { NodeChecks: ["serfHealth"] }, ["serfHealth"]],
    ["both lists", { Checks: ["a", "b"], NodeChecks: ["b", "c"] }, ["b", "c", "a"]],
    ["null", { Checks: null, NodeChecks: null }, []],
    ["nothing", {}, []],
  ])("reads the checks that come from %s", async (_, checks, expected) => {
    const session = { ...SESSION, NodeChecks: undefined, ...checks };
    server.next(replyToRead(JSON.stringify([session])));
    const { value } = await client.session.info(ID);
    expect(value?.checks).toEqual(expected);
  });

  test("may be a blocking query", async () => {
    server.next(replyToRead("[]"));
    await client.session.info(ID, { index: 5n, wait: "1ns", consistent: true });
    expect(Object.fromEntries(server.last.query)).toEqual({
      consistent: "",
      index: "5",
      wait: "1ms",
    });
  });

  test("keeps indexes exact that no double holds", async () => {
    const json = JSON.stringify([SESSION]).replace(
      '"CreateIndex":5',
      '"CreateIndex":9007199254740993',
    );
    server.next(replyToRead(json));
    expect((await client.session.info(ID)).value?.createIndex).toBe(2n ** 53n + 1n);
  });
});

describe("listing the sessions", () => {
  test("gives all of them with the index to wait on, and their marks to the nanosecond", async () => {
    const other = { ...SESSION, ID: "other", LockDelay: 15_000_123_456 };
    server.next(replyToRead(JSON.stringify([SESSION, other]), "9"));
    const { value, meta } = await client.session.list();
    expect(value).toEqual([READ, { ...READ, id: "other", lockDelay: 15_000.123456 }]);
    expect(meta.index).toBe(9n);
    expect(server.last).toMatchObject({ method: "GET", url: "/v1/session/list" });
  });

  test("gives none where there are none", async () => {
    server.next(replyToRead("[]"));
    expect(await client.session.list()).toMatchObject({ value: [], meta: { index: 7n } });
  });

  test("may be a consistent blocking query in another place", async () => {
    server.next(replyToRead("[]"));
    await client.session.list({ index: 5n, wait: "1s", consistent: true, namespace: "team-a" });
    expect(Object.fromEntries(server.last.query)).toEqual({
      ns: "team-a",
      consistent: "",
      index: "5",
      wait: "1000ms",
    });
  });

  test.each(["null", "{}", "[{}]", JSON.stringify([SESSION, { ...SESSION, ID: "" }])])(
    "does not take %s for one",
    async (body) => {
      server.next(replyToRead(body));
      const error = await consulErrorOf(client.session.list());
      expect(error.code).toBe("CONSUL_BAD_ANSWER");
      expect(error.message).toContain("expected a list of sessions");
    },
  );
});

test.each([15_000_000_000, 15_000_000_001, 15_123_456_789, 15_999_999_990, 15_999_999_999])(
  "a lock-delay of %d nanoseconds is sent, and comes back, to the nanosecond",
  async (nanoseconds) => {
    const lockDelay = nanoseconds / 1e6;
    server.next(reply(`{"ID":"${ID}"}`));
    await client.session.create({ lockDelay });
    const body: unknown = JSON.parse(server.last.body.toString());
    const { LockDelay } = z.object({ LockDelay: z.string() }).parse(body);
    // As Go reads it, without the rounding of a double.
    const [whole = "", fraction = ""] = LockDelay.replace(/ms$/, "").split(".");
    expect(whole + fraction.padEnd(6, "0")).toBe(String(nanoseconds));
    server.next(replyToRead(JSON.stringify([{ ...SESSION, LockDelay: nanoseconds }])));
    expect((await client.session.list()).value[0]?.lockDelay).toBe(lockDelay);
  },
);

describe("destroying a session", () => {
  test.each([true, false])("resolves to what Consul says: %s", async (said) => {
    server.next(reply(String(said)));
    expect(await client.session.destroy(ID)).toBe(said);
    expect(server.last).toMatchObject({ method: "PUT", url: `/v1/session/destroy/${ID}` });
  });
});

describe("a session's ID", () => {
  test.each(["a b", "a/b", "a?b", "a%20b", "é"])("arrives as it is: %j", async (id) => {
    server.always(reply("true"));
    await client.session.destroy(id);
    expect(server.last.path).toBe(`/v1/session/destroy/${id}`);
    expect([...server.last.query]).toEqual([]);
  });
});

test("a TTL that is no duration is refused before anything is sent", async () => {
  const error = await consulErrorOf(client.session.create({ ttl: "soon" }));
  expect(error).toMatchObject({ code: "CONSUL_BAD_REQUEST", path: "/v1/session/create" });
  expect(error.message).toContain('time: invalid duration "soon"');
  expect(server.requests).toEqual([]);
});

test("a setting of a session by another name is refused before anything is sent", async () => {
  const spec = { TTL: "15s", behavior: "delete" } as const;
  const error = await consulErrorOf(client.session.create(spec));
  expect(error).toMatchObject({ code: "CONSUL_BAD_REQUEST", path: "/v1/session/create" });
  expect(error.message).toContain('unknown option "TTL" (known: name, ttl, ');
  expect(server.requests).toEqual([]);
});

test("a proxy's 404 that shows the path is not the end of the session", async () => {
  server.always(reply(`Cannot PUT /v1/session/renew/${ID}`, { status: 404 }));
  expect(await consulErrorOf(client.session.renew(ID))).toMatchObject({
    code: "CONSUL_BAD_ANSWER",
    status: 404,
  });
});

test.each(["", "\ud800", undefined, 5n])("what can be no session ID is refused: %o", async (id) => {
  for (const method of ["renew", "destroy", "info"]) {
    const call: unknown = Reflect.get(client.session, method);
    if (typeof call !== "function") throw new Error(`no method ${method}`);
    const error = await consulErrorOf(Promise.resolve(Reflect.apply(call, client.session, [id])));
    expect(error.code).toBe("CONSUL_BAD_REQUEST");
    expect(error.message).toContain("invalid session ID");
  }
  expect(server.requests).toEqual([]);
});
