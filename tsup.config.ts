import { defineConfig } from "tsup";

export default defineConfig({
  entry: ["src/index.ts"],
  format: ["esm", "cjs"],
  target: "node20.18",
  platform: "node",
  dts: true,
  sourcemap: true,
  clean: true,
});
