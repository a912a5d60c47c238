// Is bundled, and then run: takes a slot, loses it, and says so.
import assert from "node:assert/strict";

import { ConsulClient, SemaphoreLostError } from "consul-semaphore";
import { TestConsul } from "consul-semaphore/testing";

async function main() {
  const consul = new TestConsul();
  assert.ok(consul.client() instanceof ConsulClient);

  const client = new ConsulClient({ dispatcher: consul.dispatcher() });
  const semaphore = client.semaphorePrefix("jobs/resize", 1);
  const slot = await semaphore.acquire();
  assert.ok(consul.sessions.some(({ id }) => id === slot.session));
  await semaphore.release();
  assert.equal(slot.held, false);

  const next = await semaphore.acquire();
  const lost = new Promise((resolve) => next.signal.addEventListener("abort", resolve));
  consul.destroySession(next.session);
  await lost;
  assert.ok(next.signal.reason instanceof SemaphoreLostError);

  await client.close();
  await consul.close();
  console.log("held and lost");
}

void main();
