import assert from "node:assert/strict";
import { createRequire } from "node:module";

import { ConsulClient } from "consul-semaphore";
import * as all from "consul-semaphore/testing";

const { TestConsul } = all;
const consul = new TestConsul();
assert.ok(consul.client() instanceof ConsulClient);

// A service that makes its own client has one of the same class.
const client = new ConsulClient({ dispatcher: consul.dispatcher() });
const slot = await client.semaphorePrefix("jobs/resize", 1).acquire();
assert.ok(consul.sessions.some(({ id }) => id === slot.session));
await client.close();
await consul.close();

// A process that does both has one copy.
const require = createRequire(import.meta.url);
assert.equal(require("consul-semaphore/testing").TestConsul, TestConsul);
assert.equal(require("consul-semaphore").ConsulClient, ConsulClient);

console.log(JSON.stringify({ version: process.versions.node, names: Object.keys(all) }));
