import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

import { LeftOut } from "./test/harness/left-out.js";

/** Tests against the Consul that the harness finds, whose bounds set the pace: a TTL is at least 10 s. */
const againstConsul = {
  globalSetup: ["test/harness/global-setup.ts"],
  testTimeout: 60_000,
  hookTimeout: 60_000,
  // They mostly wait.
  maxConcurrency: 16,
};

/** What takes long has a project of its own: `npm test` leaves it out, `npm run test:all` does not. */
const LONG = "test/**/*.long.test.ts";

const source = (file: string): string => fileURLToPath(new URL(`src/${file}`, import.meta.url));

export default defineConfig({
  resolve: {
    // The package by its own name, as the examples import it, is its sources.
    alias: [
      { find: /^consul-semaphore$/, replacement: source("index.ts") },
      { find: /^consul-semaphore\/testing$/, replacement: source("testing/index.ts") },
    ],
  },
  test: {
    // Most tests wait, for a Consul or for a program of their own.
    maxWorkers: 3 * availableParallelism(),
    // Half of the time of all would go into loading the same sources for each file.
    isolate: false,
    reporters: ["default", new LeftOut()],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          // They wait for nothing, but the machine may have other things to do.
          testTimeout: 120_000,
          include: ["test/{unit,fuzz,sim}/**/*.test.ts", "examples/**/*.test.ts"],
          exclude: [LONG],
          provide: { fuzzAnswers: 600 },
        },
      },
      {
        extends: true,
        test: {
          ...againstConsul,
          name: "integration",
          include: ["test/{conformance,integration}/**/*.test.ts"],
          exclude: [LONG],
        },
      },
      {
        extends: true,
        test: {
          ...againstConsul,
          name: "long",
          include: [LONG, "test/fuzz/**/*.test.ts"],
          testTimeout: 600_000,
          hookTimeout: 120_000,
          provide: { fuzzAnswers: 10_000 },
        },
      },
    ],
  },
});
