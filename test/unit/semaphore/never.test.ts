// What can never pass is no outage: it is not retried.
import { createServer, type Server } from "node:http";

import { Agent, MockAgent } from "undici";
import { expect, onTestFinished, test } from "vitest";

import { ConsulClient } from "../../../src/index.js";
import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { Watched } from "../outcome.js";
import { rejectionOf } from "../rejection.js";

/** Much less than the 15 s for which an outage is waited out. */
const SOON_MS = 5_000;

async function failsSoon(client: ConsulClient): Promise<unknown> {
  const start = performance.now();
  const error = await rejectionOf(client.semaphorePrefix("jobs", 1).acquire());
  expect(performance.now() - start).toBeLessThan(SOON_MS);
  return error;
}

/** A client of that server; both end with the test. */
async function clientOf(server: Server): Promise<ConsulClient> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const client = new ConsulClient({ address: `127.0.0.1:${address.port}` });
  onTestFinished(() => client.close());
  return client;
}

test("a dispatcher that was destroyed", async () => {
  const dispatcher = new Agent();
  const client = new ConsulClient({ address: "127.0.0.1:1", dispatcher });
  await dispatcher.destroy();
  expect(String(await failsSoon(client))).toContain("has been destroyed");
});

test("a MockAgent that expects no such request", async () => {
  const dispatcher = new MockAgent();
  dispatcher.disableNetConnect();
  onTestFinished(() => dispatcher.close());
  const client = new ConsulClient({ address: "127.0.0.1:8500", dispatcher });
  expect(String(await failsSoon(client))).toContain("MockAgent");
});

test("a dispatcher that takes other handlers, as those of undici 6 do", async () => {
  class OfUndici6 extends Agent {
    override dispatch(): boolean {
      throw Object.assign(new Error("invalid onConnect method"), { code: "UND_ERR_INVALID_ARG" });
    }
  }
  const dispatcher = new OfUndici6();
  onTestFinished(() => dispatcher.close());
  const client = new ConsulClient({ address: "127.0.0.1:8500", dispatcher });
  expect(String(await failsSoon(client))).toContain("one of undici 7?");
});

test("a waiter whose dispatcher is destroyed is rejected", async () => {
  const time = new FakeTime();
  const scene = new Scene();
  await scene.newClient().semaphorePrefix("jobs", 1).acquire();
  const waiting = new Watched(scene.client.semaphorePrefix("jobs", 1).acquire());
  await time.pass(1_000);
  scene.always(
    ({ client }) => client === scene.client,
    (_, receiver) => {
      receiver.error(Object.assign(new Error("destroyed"), { code: "UND_ERR_DESTROYED" }));
      return () => undefined;
    },
  );
  await time.pass(20_000);
  expect(waiting.outcome).toMatchObject({ error: { retryable: false } });
  scene.heal();
});

test("a list that leaves entries out for want of a permission", async () => {
  const scene = new Scene();
  scene.next("read prefix", (request, receiver, consul) =>
    consul(request, {
      ...receiver,
      response: (response) => {
        const headers = { ...response.headers, "x-consul-results-filtered-by-acls": "true" };
        receiver.response({ ...response, headers });
      },
    }),
  );
  const sem = scene.client.semaphorePrefix("jobs", 1);
  expect(await rejectionOf(sem.inspect())).toMatchObject({
    code: "SEMAPHORE_READ_FAILED",
    retryable: false,
  });
  expect(await sem.inspect()).toMatchObject({ holders: [] });
});

test("a connection that the server has closed meanwhile is no failure of a read", async () => {
  let answered = 0;
  const server = createServer((request, response) => {
    // Each connection serves once, and breaks when it is used again.
    const { socket } = request;
    if (answered > 0 && socket.bytesWritten > 0) {
      socket.resetAndDestroy();
      return;
    }
    answered += 1;
    response.writeHead(404, { "x-consul-index": "1", "x-consul-knownleader": "true" }).end();
  });
  const client = await clientOf(server);
  const sem = client.semaphorePrefix("jobs", 1);
  for (let i = 0; i < 3; i += 1) expect(await sem.inspect()).toMatchObject({ holders: [] });
  // For the list, and for the lock entry that it does not show.
  expect(answered).toBe(6);
});

test("a server that closes each connection after its answer costs one write at most", async () => {
  const server = createServer((request, response) => {
    request.resume();
    response.once("finish", () => request.socket.end());
    const isWrite = request.method === "PUT";
    response.writeHead(isWrite ? 200 : 404, { "x-consul-index": "1" }).end(isWrite ? "true" : "");
  });
  const client = await clientOf(server);
  let failures = 0;
  for (let i = 0; i < 20; i += 1) {
    expect((await client.kv.get("a")).value).toBeNull();
    await client.kv.put({ key: "a" }).catch(() => (failures += 1));
  }
  expect(failures).toBeLessThanOrEqual(1);
});
