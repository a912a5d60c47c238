// The library at its main job, in a second or two: what has to work against each Consul there is,
// a container's as well.
import { expect, inject, test } from "vitest";

import { SemaphoreLostError } from "../../src/index.js";
import { abortWithin, connect, consul, freshPrefix, keysBelow } from "./fixture.js";

test("the cluster has a leader", async () => {
  expect(inject("consulSource")).not.toBe("");
  expect(await consul("GET", "/v1/status/leader")).toMatch(/^"\S+:\d+"/);
});

test("three take turns in two slots", async () => {
  const prefix = freshPrefix();
  const client = connect();
  const [one, two, three] = [
    client.semaphorePrefix(prefix, 2),
    client.semaphorePrefix(prefix, 2),
    client.semaphorePrefix(prefix, 2),
  ];
  await one.acquire();
  await two.acquire();
  const third = three.acquire();
  await expect.poll(async () => (await one.inspect()).waiters.length).toBe(1);
  await one.release();
  expect((await third).held).toBe(true);
  await two.release();
  await three.release();
  await one.destroy();
  expect(await keysBelow(prefix)).toEqual([]);
});

test("a lost slot is told, and an abandoned wait leaves nothing", async () => {
  const prefix = freshPrefix();
  const client = connect();
  const holder = client.semaphorePrefix(prefix, 1);
  const slot = await holder.acquire();
  const controller = new AbortController();
  const waiting = client.semaphorePrefix(prefix, 1).acquire(controller.signal);
  await expect.poll(async () => (await holder.inspect()).waiters.length).toBe(1);
  controller.abort();
  await expect(waiting).rejects.toThrow(expect.objectContaining({ name: "AbortError" }));
  await expect.poll(async () => (await holder.inspect()).waiters.length).toBe(0);

  await client.session.destroy(slot.session);
  expect(await abortWithin(slot.signal, 10_000)).toBeInstanceOf(SemaphoreLostError);
  await holder.release();
});
