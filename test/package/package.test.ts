import { copyFile, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { describe, expect, inject, it } from "vitest";
import { z } from "zod";

import * as source from "../../src/index.js";
import { loadTimes } from "./load-time.js";
import { nodeVersions, runningNode } from "./node-versions.js";
import { projectFolder } from "./project.js";
import { run } from "./run.js";

const nodes = await nodeVersions();

const manifestSchema = z.object({ version: z.string() });

const reportSchema = z.object({ version: z.string(), names: z.array(z.string()) });

describe("the package, as npm would have it", () => {
  const packed = inject("packed");
  const folder = inject("consumerFolder");

  it("has what is meant to be in it, and no more", () => {
    expect(packed.files.toSorted()).toEqual([
      "LICENSE",
      "README.md",
      "dist/cli.cjs",
      "dist/consul-in-memory.cjs",
      "dist/consul-in-memory.define.cjs",
      "dist/consul-semaphore.cjs",
      "dist/consul-semaphore.cjs.map",
      "dist/consul-semaphore.define.cjs",
      "dist/index.cjs",
      "dist/index.d.cts",
      "dist/index.d.ts",
      "dist/index.js",
      "dist/testing.cjs",
      "dist/testing.d.cts",
      "dist/testing.d.ts",
      "dist/testing.js",
      "package.json",
    ]);
  });

  it("has whatever its documents link to", async () => {
    for (const file of packed.files.filter((name) => name.endsWith(".md"))) {
      const text = await readFile(join(projectFolder, file), "utf8");
      const links = [...text.matchAll(/\]\(([^)\s#]+)/g)].map(([, link = ""]) => link);
      const dead = links.filter((link) => {
        if (/^https?:/.test(link)) return false;
        return !packed.files.includes(join(dirname(file), link));
      });
      expect(dead, file).toEqual([]);
    }
  });

  it("is smaller than 400 kB", () => {
    console.log(`unpacked: ${(packed.unpackedSize / 1000).toFixed(0)} kB`);
    expect(packed.unpackedSize).toBeLessThan(400_000);
  });

  it("has what is for tests apart from what a service loads", async () => {
    const service = await readFile(join(projectFolder, "dist", "consul-semaphore.cjs"), "utf8");
    const testing = await readFile(join(projectFolder, "dist", "consul-in-memory.cjs"), "utf8");
    for (const name of ["TestConsul", "FakeConsul", "StateStore"]) {
      expect(service).not.toContain(name);
      expect(testing).toContain(name);
    }
    expect(testing).not.toContain("class Semaphore");
  });

  it("has the command line apart from what a service loads, and less than 22 kB of it", async () => {
    const service = await readFile(join(projectFolder, "dist", "consul-semaphore.cjs"), "utf8");
    const cli = await readFile(join(projectFolder, "dist", "cli.cjs"), "utf8");
    expect(cli).toContain("Usage: consul-semaphore");
    expect(service).not.toContain("Usage: consul-semaphore");
    expect(cli).not.toContain("class Semaphore");
    expect(cli.length).toBeLessThan(22_000);
    expect(await run("npx", ["--offline", "consul-semaphore", "--help"], folder)).toMatch(/^Usage/);
  });

  it("shows the lines of the sources in a stack trace", async () => {
    const stack = await run(
      runningNode.binary,
      ["--enable-source-maps", "source-lines.cjs"],
      folder,
    );
    const frames = [...stack.matchAll(/at ([\w ]+) \(.*\/(src\/[\w/-]+\.ts):(\d+):\d+\)$/gm)];
    let called = "new ConsulConfigError";
    for (const [, caller = "", file = "", line] of frames) {
      const source = await readFile(join(projectFolder, file), "utf8");
      expect(source.split("\n")[Number(line) - 1]).toContain(`${called}(`);
      // Two functions of one name are told apart by a number, since all files have become one.
      called = caller.replace(/\d$/, "");
    }
    expect(called).toBe("new ConsulClient");
  });

  describe.each(nodes)("on Node $version", ({ version, binary }) => {
    const expected = { version, names: Object.keys(source).sort() };

    it.each([
      ["imported by an ES module", "esm.mjs"],
      ["required by CommonJS", "commonjs.cjs"],
    ])("can be %s", async (_, consumer) => {
      const report: unknown = JSON.parse(await run(binary, [consumer], folder));
      expect(reportSchema.parse(report)).toEqual(expected);
    });

    it.each([
      ["imported by an ES module", "testing.mjs"],
      ["required by CommonJS", "testing.cjs"],
    ])("has a Consul for tests that can be %s", async (_, consumer) => {
      const report: unknown = JSON.parse(await run(binary, [consumer], folder));
      expect(reportSchema.parse(report)).toEqual({ version, names: ["TestConsul"] });
    });

    it("has one of it for both", async () => {
      expect(await run(binary, ["both-kinds.cjs"], folder)).toBe("one of each\n");
    });

    it("has a command line, whose errors are those of the package", async () => {
      const cli = join("node_modules", ".bin", "consul-semaphore");
      const { version } = manifestSchema.parse(
        JSON.parse(await readFile(join(projectFolder, "package.json"), "utf8")),
      );
      expect(await run(binary, [cli, "--version"], folder)).toBe(`${version}\n`);
      // No Consul is there, and then the limit is none: errors of two classes of the package's.
      const inspect = run(binary, [cli, "inspect", "p", "-http-addr=127.0.0.1:1"], folder);
      await expect(inspect).rejects.toMatchObject({ cause: { code: 69 } });
      await expect(run(binary, [cli, "resize", "p", "0"], folder)).rejects.toMatchObject({
        cause: { code: 64 },
      });
    });

    it("leaves the process as it was, fetch and the program's own undici included", async () => {
      const ofProcess = async (...args: string[]): Promise<unknown> =>
        JSON.parse(await run(binary, ["same-process.cjs", ...args], folder));
      // zod has copies of itself share their settings. Nothing else goes by these.
      const changes = ["globals: __zod_globalConfig", "globals: __zod_globalRegistry"];
      expect(await ofProcess()).toEqual({ changes, answers: ["hi", "hi"] });
      expect(await ofProcess("undici-first")).toEqual({ changes, answers: ["hi"] });
    });
  });

  describe("compiles in strict TypeScript", () => {
    const compile = (config: string): Promise<string> => {
      const compiler = join(projectFolder, "node_modules", "typescript", "bin", "tsc");
      return run(runningNode.binary, [compiler, "--project", config], folder);
    };

    it("with NodeNext, as an ES module and as CommonJS", async () => {
      await copyFile(join(folder, "typed.ts"), join(folder, "typed.mts"));
      await copyFile(join(folder, "typed.ts"), join(folder, "typed.cts"));
      await compile("tsconfig.nodenext.json");
    });

    it("with the resolution of bundlers", async () => {
      await compile("tsconfig.bundler.json");
    });
  });

  it.each([
    ["import", "import-time.mjs"],
    ["require", "require-time.cjs"],
  ])(
    "takes little longer to %s than its dependencies do",
    async (how, program) => {
      const bound = 1.3;
      const { dependencies, all } = await loadTimes(join(folder, program), bound);
      console.log(
        `${how}: ${all.toFixed(0)} ms, of which undici and zod ${dependencies.toFixed(0)} ms` +
          ` (ratio ${(all / dependencies).toFixed(2)})`,
      );
      expect(all / dependencies).toBeLessThan(bound);
    },
    300_000,
  );
});
