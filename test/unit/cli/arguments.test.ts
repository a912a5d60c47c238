import { describe, expect, test } from "vitest";

import { COMMAND_NAMES, optionsOf, parseCommandLine } from "../../../src/cli/arguments.js";
import { helpOf } from "../../../src/cli/help.js";

/** A command line, split at its spaces. */
const parse = (line: string) => parseCommandLine(line.split(" ").filter((word) => word !== ""));

describe("a command line that is understood", () => {
  test("run", () => {
    expect(parse("run jobs/resize --limit 3 --timeout 30s -- ls -l --json -- x")).toEqual({
      kind: "command",
      name: "run",
      prefix: "jobs/resize",
      operand: "",
      values: { limit: "3", timeout: "30s" },
      program: ["ls", "-l", "--json", "--", "x"],
    });
  });

  test.each([
    ["inspect -http-addr=h:1 -token=t p", { "http-addr": "h:1", token: "t" }],
    ["inspect p -http-addr h:1 -ca-file c", { "http-addr": "h:1", "ca-file": "c" }],
    ["-datacenter=dc2 inspect p", { datacenter: "dc2" }],
    ["inspect p -json", { json: true }],
    ["run p -n=2 -- -n=3", { limit: "2" }],
    ["run p -n 2 -try -- true", { limit: "2", try: true }],
  ])("with one dash, as Consul's CLI has it: %s", (line, values) => {
    expect(parse(line)).toMatchObject({ kind: "command", prefix: "p", values });
  });

  test("resize has the limit as its operand", () => {
    expect(parse("resize p 5")).toMatchObject({ name: "resize", prefix: "p", operand: "5" });
  });

  test.each([
    ["--help", undefined],
    ["-h", undefined],
    ["help", undefined],
    ["help run", undefined],
    ["run --help", "run"],
    ["inspect p -help", "inspect"],
  ])("%s", (line, about) => {
    expect(parse(line)).toEqual({ kind: "help", about });
  });

  test("--version", () => {
    expect(parse("--version")).toEqual({ kind: "version" });
  });
});

describe("a command line that is none says what to write", () => {
  test.each([
    ["", "missing command: expected inspect, watch, run, resize, destroy"],
    ["show p", 'unknown command "show": expected inspect, watch, run, resize, destroy'],
    ["inspect", "inspect needs a PREFIX"],
    ["resize p", "resize needs PREFIX and N"],
    ["inspect p q", "too many arguments for inspect"],
    ["run p -n 1 true", "write -- before the command to run: run PREFIX --limit N -- COMMAND"],
    [
      "run p -n 1 node --version",
      "write -- before the command to run: run PREFIX --limit N -- COMMAND",
    ],
    ["run p -n 1 ls -la", "write -- before the command to run: run PREFIX --limit N -- COMMAND"],
    ["run p -n 1", "write -- before the command to run: run PREFIX --limit N -- COMMAND"],
    ["run p --limit 3 --wait 30s -- true", "Unknown option '--wait'"],
    ["run p -n 1 --try --timeout 5s -- true", "--try does not wait: leave out --timeout"],
    ["run p q -n 1 -- true", "too many arguments for run"],
    ["run p -- true", "run needs --limit N, the same for all that use the prefix"],
    ["inspect p --limit 3", "inspect has no option --limit"],
    ["destroy p -- true", "too many arguments for destroy"],
    ["resize p 5 6", "too many arguments for resize"],
    ["inspect p --nope", "Unknown option '--nope'"],
    ["inspect p --http-addr", "Option '--http-addr <value>' argument missing"],
    ["run p --limit -1 -- true", "Option '--limit' argument is ambiguous."],
  ])("%s", (line, problem) => {
    expect(() => parse(line)).toThrow(
      expect.objectContaining({ message: `${problem} (see --help)` }),
    );
  });

  test.each(["inspect p --tokn=SECRET", "inspect p --tokn SECRET", "inspect --token=x p SECRET"])(
    "and shows no word that may be a token: %s",
    (line) => {
      expect(() => parse(line)).toThrow(/^(?!.*SECRET)./);
    },
  );
});

describe("the help", () => {
  test.each([undefined, ...COMMAND_NAMES])("of %s fits a screen of 80 by 24", (command) => {
    const lines = helpOf(command).split("\n");
    // The last line is the prompt's.
    expect(lines.length).toBeLessThan(24);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(helpOf(command)).toMatch(/^[\x20-\x7e\n]+$/);
  });

  test.each(COMMAND_NAMES)("of %s has each of its options, if not at the top", (command) => {
    const texts = helpOf(command) + helpOf(undefined);
    expect(optionsOf(command).filter((option) => !texts.includes(`--${option}`))).toEqual([]);
    expect(helpOf(undefined)).toMatch(new RegExp(`^  ${command} PREFIX`, "m"));
  });
});
