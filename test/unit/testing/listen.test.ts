// The Consul in memory over HTTP.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";

import { ConsulClient } from "consul-semaphore";
import {
  TestConsul,
  type TestConsulListenOptions,
  type TestConsulServer,
} from "consul-semaphore/testing";
import { expect, onTestFinished, test } from "vitest";

import { HttpServer } from "../../../src/testing/http-server.js";

async function listen(options?: TestConsulListenOptions): Promise<TestConsulServer> {
  const consul = await TestConsul.listen(options);
  onTestFinished(() => consul.close());
  return consul;
}

function clientOf({ address }: TestConsulServer): ConsulClient {
  const client = new ConsulClient({ address });
  onTestFinished(() => client.close());
  return client;
}

test("a service in a process of its own gets a slot, and is told when its network goes silent", async () => {
  const consul = await listen({ shortestTtl: 1_000 });
  const service = spawn(
    process.execPath,
    ["--no-deprecation", "--import", "tsx", join(import.meta.dirname, "service-process.ts")],
    {
      env: { ...process.env, CONSUL_HTTP_ADDR: consul.address },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  onTestFinished(() => void service.kill("SIGKILL"));
  const lines = createInterface({ input: service.stdout })[Symbol.asyncIterator]();
  const ended = once(service, "exit");
  expect(await lines.next()).toMatchObject({ value: "holds" });
  const waiting = consul.client().semaphorePrefix("jobs", 1).acquire();

  consul.cut(consul.address);
  expect(await lines.next()).toMatchObject({ value: "session-expired" });
  expect((await waiting).held).toBe(true);
  consul.heal();
  expect(await ended).toEqual([0, null]);
});

test("clients over HTTP and in this process share one Consul", async () => {
  const consul = await listen();
  expect(consul.address).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  const slot = await clientOf(consul).semaphorePrefix("jobs", 1).acquire();
  expect(consul.sessions).toMatchObject([{ id: slot.session }]);
  const waiting = consul.client().semaphorePrefix("jobs", 1).acquire();
  await slot.release();
  expect((await waiting).fencingToken).toBeGreaterThan(slot.fencingToken);
});

test("closing ends blocking queries and frees the port, which can be asked for", async () => {
  const consul = await listen();
  const first = await fetch(`${consul.address}/v1/session/list`);
  const index = first.headers.get("x-consul-index") ?? "";
  const query = fetch(`${consul.address}/v1/session/list?index=${index}`);
  const outcome = expect(query).rejects.toThrow("fetch failed");
  // As a rule, the query has arrived by the time that this is answered.
  await fetch(`${consul.address}/v1/status/leader`);
  await consul.close();
  await outcome;

  const port = Number(new URL(consul.address).port);
  await using second = await TestConsul.listen({ port });
  expect(second.address).toBe(consul.address);
  const third = TestConsul.listen({ port });
  await expect(third).rejects.toThrow(`TestConsul cannot listen at 127.0.0.1:${port}`);
  await expect(TestConsul.listen({ port: 65_536 })).rejects.toThrow(RangeError);
});

test("a blocking query whose client has gone is canceled", async () => {
  let cancel: () => void = () => undefined;
  const canceled = new Promise<void>((resolve) => (cancel = resolve));
  const stop = new AbortController();
  const server = new HttpServer(() => {
    stop.abort(new Error("enough"));
    return cancel;
  });
  onTestFinished(() => server.close());
  const query = fetch(await server.listen(0), { signal: stop.signal });
  await expect(query).rejects.toThrow("enough");
  await canceled;
});

test("requests are refused, for all or for those over HTTP alone, until that is healed", async () => {
  const consul = await listen();
  const here = consul.client();
  const there = clientOf(consul);
  await there.kv.put({ key: "a", value: "1" });
  consul.refuse(consul.address);
  await expect(there.kv.get("a")).rejects.toMatchObject({ code: "CONSUL_UNREACHABLE" });
  expect((await here.kv.get("a")).value).not.toBeNull();
  consul.heal(consul.address);
  expect((await there.kv.get("a")).value).not.toBeNull();
  expect(() => {
    consul.cut("http://127.0.0.1:8500");
  }).toThrow(RangeError);
});

test.each(["/v1/catalog/nodes", "/ui/", "/"])("%s is 404", async (path) => {
  const { address } = await listen();
  expect((await fetch(address + path)).status).toBe(404);
});

test("any bytes are a value, and too many are refused unread", async () => {
  const consul = await listen();
  const url = `${consul.address}/v1/kv/a`;
  const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  await fetch(url, { method: "PUT", body: bytes });
  expect(consul.entries).toMatchObject([{ key: "a", value: bytes }]);
  const huge = await fetch(url, { method: "PUT", body: new Uint8Array(5_000_000) });
  expect(huge.status).toBe(413);
  expect(await huge.text()).toBe("Request body exceeds 1048576 bytes");
  expect(consul.entries).toMatchObject([{ key: "a", value: bytes }]);
});

test("a request that breaks off in the middle is none", async () => {
  const consul = await listen();
  const socket = connect(Number(new URL(consul.address).port), "127.0.0.1");
  socket.end("PUT /v1/kv/a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
  socket.resume();
  await once(socket, "close");
  expect(consul.entries).toEqual([]);
});
