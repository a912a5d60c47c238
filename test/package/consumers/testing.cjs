const assert = require("node:assert/strict");

const { ConsulClient, SemaphoreLostError } = require("consul-semaphore");

const isLoaded = () =>
  Object.keys(require.cache).some((file) => /dist.consul-in-memory\.cjs$/.test(file));
assert.equal(isLoaded(), false, "the main entry is loaded with what is for tests");

const all = require("consul-semaphore/testing");
assert.equal(isLoaded(), true);

async function loseSlot() {
  const consul = new all.TestConsul();
  const client = consul.client();
  assert.ok(client instanceof ConsulClient);
  const slot = await client.semaphorePrefix("jobs/resize", 1).acquire();
  const lost = new Promise((resolve) => slot.signal.addEventListener("abort", resolve));
  consul.destroySession(slot.session);
  await lost;
  assert.ok(slot.signal.reason instanceof SemaphoreLostError);
  await consul.close();
  console.log(JSON.stringify({ version: process.versions.node, names: Object.keys(all) }));
}

void loseSlot();
