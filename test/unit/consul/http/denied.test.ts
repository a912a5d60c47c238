// What becomes of a request that the token may not make.
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";

import { ConsulClient, type ConsulClientConfig } from "../../../../src/index.js";
import { consulErrorOf, rejectionOf } from "../../rejection.js";
import { reply, ScriptedServer } from "../../scripted-server.js";

let server: ScriptedServer;
let folder: string;
let clients: ConsulClient[];

beforeEach(async () => {
  for (const name of ["CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE"]) {
    vi.stubEnv(name, undefined);
  }
  server = await ScriptedServer.listen();
  folder = mkdtempSync(path.join(tmpdir(), "denied-"));
  clients = [];
});

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const client of clients) await client.close();
  await server.close();
  rmSync(folder, { recursive: true });
});

function newClient(config: ConsulClientConfig): ConsulClient {
  const client = new ConsulClient({ address: server.address, ...config });
  clients.push(client);
  return client;
}

const forbidden = reply("Permission denied", { status: 403 });
const forbiddenInTransaction = reply(
  JSON.stringify({ Errors: [{ OpIndex: 1, What: "Permission denied" }] }),
  { status: 409 },
);

describe("a token's file that cannot be read to its end", () => {
  function clientOfHangingFile(): ConsulClient {
    const tokenFile = path.join(folder, "token");
    writeFileSync(tokenFile, "first");
    const client = newClient({ tokenFile });
    rmSync(tokenFile);
    // Nobody ever writes to it.
    execFileSync("mkfifo", [tokenFile]);
    const writer = openSync(tokenFile, constants.O_RDWR);
    onTestFinished(() => {
      closeSync(writer);
    });
    return client;
  }

  test.each(["timeout", "signal", "close"] as const)("holds up no %s", async (way) => {
    const client = clientOfHangingFile();
    server.always(forbidden);
    if (way === "timeout") {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    }
    const controller = new AbortController();
    const asked = rejectionOf(client.kv.get("a", { signal: controller.signal, timeout: 60_000 }));
    await server.received(1);
    if (way === "timeout") await vi.advanceTimersByTimeAsync(60_000);
    if (way === "signal") controller.abort("enough");
    if (way === "close") await client.close();
    vi.useRealTimers();
    const outcome = await asked;
    if (way === "signal") expect(outcome).toBe("enough");
    else
      expect(outcome).toMatchObject({ code: `CONSUL_${way === "timeout" ? "TIMEOUT" : "CLOSED"}` });
  });

  test("occupies one of Node's 4 threads, however many denials", { timeout: 10_000 }, async () => {
    const client = clientOfHangingFile();
    server.always(forbidden);
    const denied = Array.from({ length: 6 }, () => rejectionOf(client.kv.get("a")));
    await server.received(6);
    // The last answers have been received by then.
    await new Promise((done) => setTimeout(done, 50));
    await expect(stat(folder)).resolves.toBeDefined();
    await client.close();
    await Promise.all(denied);
  });
});

describe("a refusal says what the token lacks", () => {
  test.each<[string, (client: ConsulClient) => Promise<unknown>, string]>([
    ["to read a key", ({ kv }) => kv.get("a/ä"), 'key:read on "a/ä"'],
    ["to list keys", ({ kv }) => kv.list("a/"), 'key:read on "a/"'],
    ["to write a key", ({ kv }) => kv.put({ key: "a" }), 'key:write on "a"'],
    ["to delete a key", ({ kv }) => kv.delete("a"), 'key:write on "a"'],
    ["to make a session", ({ session }) => session.create(), "session:write on the node"],
    ["to renew a session", ({ session }) => session.renew("s"), "session:write on the node"],
    ["to read a session", ({ session }) => session.info("s"), "session:read on the session's node"],
  ])("%s", async (_, call, permission) => {
    server.always(forbidden);
    const given = await consulErrorOf(call(newClient({ token: "secret" })));
    expect(given).toMatchObject({ code: "CONSUL_STATUS", status: 403, retryable: false });
    expect(given.message).toContain(`if Consul knows the token, it lacks ${permission}`);
    const without = await consulErrorOf(call(newClient({})));
    expect(without.message).toContain(
      `without a token (option token, or CONSUL_HTTP_TOKEN), the request lacks ${permission}`,
    );
  });

  test("or that Consul does not know it", async () => {
    server.always(reply("ACL not found", { status: 403 }));
    const { message } = await consulErrorOf(newClient({ token: "secret" }).kv.get("a"));
    expect(message).toContain("Consul does not know the token");
    expect(message).not.toContain("it lacks");
  });

  test("in Consul's words, where agents since 1.12 name it", async () => {
    const words =
      "Permission denied: token with AccessorID 'a1' lacks permission 'key:list' on \"a/\"";
    server.always(reply(words, { status: 403 }));
    const given = await consulErrorOf(newClient({ token: "secret" }).kv.list("a/"));
    expect(given.message).toMatch(
      /lacks permission 'key:list' on "a\/"\) for GET [^ ]* from [^ ]*$/,
    );
    const without = await consulErrorOf(newClient({}).kv.list("a/"));
    expect(without.message).toMatch(/without a token .*, the request lacks it$/);
  });

  test("in a transaction, for the very key", async () => {
    server.always(forbiddenInTransaction);
    const { kv } = newClient({ token: "secret" });
    const error = await consulErrorOf(
      kv.txn([
        { verb: "delete", key: "a" },
        { verb: "delete", key: "b" },
      ]),
    );
    expect(error.message).toContain('it lacks key:write on "b"');
  });
});

describe("a token of a file that was rotated", () => {
  const file = (): string => path.join(folder, "token");

  test.each([
    ["403", forbidden],
    ["the 409 of a transaction", forbiddenInTransaction],
  ])("is taken up after %s, and the request made again", async (_, refusal) => {
    writeFileSync(file(), "first");
    const { kv } = newClient({ tokenFile: file() });
    writeFileSync(file(), "second\n");
    server.next(refusal);
    server.next(reply(JSON.stringify({ Results: [] })));
    const outcome = await kv.txn([
      { verb: "delete", key: "a" },
      { verb: "delete", key: "b" },
    ]);
    expect(outcome).toEqual({ applied: true, entries: [] });
    expect(server.last.headers["x-consul-token"]).toBe("second");
  });

  test("is tried once, and what is refused then is told", async () => {
    writeFileSync(file(), "first");
    const { kv } = newClient({ tokenFile: file() });
    writeFileSync(file(), "second");
    server.always(forbidden);
    const error = await consulErrorOf(kv.get("a"));
    expect(error.status).toBe(403);
    expect(server.last.headers["x-consul-token"]).toBe("second");
    server.always(reply("true"));
    expect(await kv.delete("a")).toBe(true);
    expect(server.last.headers["x-consul-token"]).toBe("second");
  });
});

test("a proxy that requires a password is distinguished from Consul", async () => {
  server.always(reply("who are you?", { status: 401 }));
  const error = await consulErrorOf(newClient({}).kv.get("a"));
  expect(error.message).toContain("a proxy in front of Consul requires httpAuth");
  server.always(reply("true"));
  await newClient({ httpAuth: "me:secret" }).kv.delete("a");
  expect(server.last.headers.authorization).toBe(
    `Basic ${Buffer.from("me:secret").toString("base64")}`,
  );
});

test("a password that a proxy echoes is in no error", async () => {
  const pair = Buffer.from("me:pass-word").toString("base64");
  server.always(reply(`authorization: Basic ${pair}, that is pass-word`, { status: 500 }));
  const error = await consulErrorOf(newClient({ httpAuth: "me:pass-word" }).kv.get("a"));
  expect(`${error.message}${error.text ?? ""}${error.stack ?? ""}`).not.toMatch(/pass-word|bWU6/);
});
