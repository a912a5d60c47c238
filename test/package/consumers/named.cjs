const assert = require("node:assert/strict");

/** Whoever reads a stack trace has to find the names there, and lines that are worth looking at. */
exports.assertNamed = ({ ConsulClient, ...others }) => {
  for (const [name, value] of Object.entries({ ConsulClient, ...others })) {
    if (typeof value === "function") assert.equal(value.name, name);
  }
  const invalid = () => new ConsulClient({ address: "ftp://127.0.0.1" });
  assert.throws(invalid, ({ name, stack }) => {
    assert.equal(name, "ConsulConfigError");
    const [, where] = /at new ConsulClient \(.*consul-semaphore\.cjs:(\d+):\d+\)/.exec(stack) ?? [];
    assert.ok(Number(where) > 1000, stack);
    assert.match(stack, /at resolveConfig /);
    return true;
  });
};
