import path from "node:path";

import { expect, onTestFinished, test } from "vitest";

import { ConsulClient } from "../../src/index.js";
import { rejectionOf } from "../unit/rejection.js";
import { freshFolder, startOwnAgent } from "./own-agent.js";

test("a semaphore works over a unix socket", async () => {
  const socket = path.join(await freshFolder(onTestFinished), "http.sock");
  await startOwnAgent(`addresses { http = "127.0.0.1 unix://${socket}" }`, onTestFinished);
  await using client = new ConsulClient({ address: `unix://${socket}` });
  const [one, two] = [client.semaphorePrefix("socket", 1), client.semaphorePrefix("socket", 1)];
  const slot = await one.acquire();
  const next = two.acquire();
  await one.release();
  expect((await next).fencingToken).toBeGreaterThan(slot.fencingToken);
  await two.release();
});

test("a unix socket where nobody listens is told by its path", async () => {
  const socket = path.join(await freshFolder(onTestFinished), "http.sock");
  await using client = new ConsulClient({ address: `unix://${socket}` });
  const error = await rejectionOf(client.semaphorePrefix("socket", 1).acquire());
  expect(String(error)).toContain(`no answer from Consul at unix://${socket}`);
});
