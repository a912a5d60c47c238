import { availableParallelism } from "node:os";

import { defineConfig } from "vitest/config";

/** Tests against the Consul that the harness finds, whose bounds set the pace: a TTL is at least 10 s. */
const againstConsul = {
  globalSetup: ["test/harness/global-setup.ts"],
  testTimeout: 60_000,
  hookTimeout: 60_000,
  // They mostly wait.
  maxConcurrency: 16,
};

export default defineConfig({
  test: {
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts", "test/fuzz/**/*.test.ts"],
        },
      },
      {
        test: {
          name: "sim",
          include: ["test/sim/**/*.test.ts"],
          testTimeout: 600_000,
        },
      },
      {
        test: {
          ...againstConsul,
          name: "conformance",
          include: ["test/conformance/**/*.test.ts"],
        },
      },
      {
        test: {
          ...againstConsul,
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
        },
      },
      {
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
