import { defineConfig } from "vitest/config";

/** Apart from the other projects, since it builds and packs first, and needs npm for other Nodes. */
export default defineConfig({
  test: {
    name: "package",
    include: ["test/package/**/*.test.ts"],
    globalSetup: ["test/package/global-setup.ts"],
    testTimeout: 120_000,
    // One of them measures time.
    fileParallelism: false,
    // A gate has to say on which versions of Node it ran.
    reporters: ["verbose"],
  },
});
