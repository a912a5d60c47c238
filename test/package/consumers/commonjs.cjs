const assert = require("node:assert/strict");

const all = require("consul-semaphore");
const { assertNamed } = require("./named.cjs");

const { ConsulClient, Semaphore } = all;
const consul = new ConsulClient({ address: "127.0.0.1:8500" });
assert.ok(consul.semaphorePrefix("jobs/resize", 3) instanceof Semaphore);
assert.equal(new Semaphore(consul, { prefix: "jobs/resize", limit: 3 }).isHeld, false);
assertNamed(all);

console.log(JSON.stringify({ version: process.versions.node, names: Object.keys(all).sort() }));
