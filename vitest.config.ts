import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

/** Tests against the Consul that the harness finds, whose bounds set the pace: a TTL is at least 10 s. */
const againstConsul = {
  globalSetup: ["test/harness/global-setup.ts"],
  testTimeout: 60_000,
  hookTimeout: 60_000,
  // They mostly wait.
  maxConcurrency: 16,
};

const source = (file: string): string => fileURLToPath(new URL(`src/${file}`, import.meta.url));

/** The package by its own name, as the examples import it, is its sources. */
const resolve = {
  alias: [
    { find: /^consul-semaphore$/, replacement: source("index.ts") },
    { find: /^consul-semaphore\/testing$/, replacement: source("testing/index.ts") },
  ],
};

export default defineConfig({
  test: {
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        resolve,
        test: {
          name: "unit",
          // They wait for nothing, but the machine may have other things to do.
          testTimeout: 60_000,
          include: ["test/unit/**/*.test.ts", "test/fuzz/**/*.test.ts", "examples/**/*.test.ts"],
        },
      },
      {
        resolve,
        test: {
          name: "sim",
          include: ["test/sim/**/*.test.ts"],
          testTimeout: 600_000,
        },
      },
      {
        resolve,
        test: {
          ...againstConsul,
          name: "conformance",
          include: ["test/conformance/**/*.test.ts"],
        },
      },
      {
        resolve,
        test: {
          ...againstConsul,
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
        },
      },
      {
        resolve,
        test: {
          ...againstConsul,
          name: "cluster",
          include: ["test/cluster/**/*.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
