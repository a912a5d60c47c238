import assert from "node:assert/strict";
import { createRequire } from "node:module";

import { ConsulClient, Semaphore } from "consul-semaphore";
import * as all from "consul-semaphore";

import { assertNamed } from "./named.cjs";

const consul = new ConsulClient({ address: "127.0.0.1:8500" });
assert.ok(consul.semaphorePrefix("jobs/resize", 3) instanceof Semaphore);
assert.equal(new Semaphore(consul, { prefix: "jobs/resize", limit: 3 }).isHeld, false);
assertNamed(all);

// A process that does both has one copy.
assert.equal(createRequire(import.meta.url)("consul-semaphore").Semaphore, Semaphore);

console.log(JSON.stringify({ version: process.versions.node, names: Object.keys(all).sort() }));
