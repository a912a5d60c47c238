// A process that requires the package and imports it has one of it.
const assert = require("node:assert/strict");

const required = require("consul-semaphore");
const testing = require("consul-semaphore/testing");

async function main() {
  const imported = await import("consul-semaphore");
  for (const [name, value] of Object.entries(required)) assert.equal(imported[name], value, name);
  const { TestConsul } = await import("consul-semaphore/testing");
  assert.equal(TestConsul, testing.TestConsul);

  const consul = new testing.TestConsul();
  const client = consul.client();
  assert.ok(client instanceof imported.ConsulClient);
  const invalid = () => new imported.Semaphore(client, { prefix: "", limit: 1 });
  assert.throws(invalid, required.SemaphoreOptionsError);
  await consul.close();
  console.log("one of each");
}

void main();
