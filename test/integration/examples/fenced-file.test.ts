import { readdir } from "node:fs/promises";

import { expect, onTestFinished, test } from "vitest";

import { FencedFile, StaleTokenError } from "../../../examples/fenced-file/fenced-file.js";
import { expectNothingLeft, freshPrefix } from "../fixture.js";
import { freshFolder } from "../own-agent.js";
import { ExampleProcess } from "./example-process.js";

test("the holder that was overtaken is refused, and the file is the later one's", async () => {
  const prefix = freshPrefix();
  const folder = await freshFolder(onTestFinished);

  const { code, lines } = await new ExampleProcess("fenced-file", [folder], {
    EXAMPLE_PREFIX: prefix,
  }).ended;

  expect({ code, lines }).toEqual({
    code: 0,
    lines: [
      expect.stringMatching(/^the first holder has token \d+ and writes$/),
      expect.stringMatching(/^the second holder has token \d+ and writes$/),
      expect.stringMatching(/writes late and is refused: token \d+ is stale: \d+ was here$/),
      "the file says: from the second holder",
    ],
  });
  const [first = 0n, second = 0n] = lines.map((line) => BigInt(/\d+/.exec(line)?.[0] ?? 0));
  expect(first).toBeLessThan(second);
  expect(lines[2]).toContain(`token ${first} is stale: ${second} was here`);
  expect(await readdir(folder)).toEqual([`${second}.txt`]);
  await expectNothingLeft(prefix);
});

test("however writes with several tokens fall together, the greatest one's is read", async () => {
  for (let round = 0; round < 20; round += 1) {
    const folder = await freshFolder(onTestFinished);
    const file = await FencedFile.open(folder);
    const writes = [3n, 12n, 7n, 12n].map(async (token) => {
      // Each through an object of its own, as of a process of its own.
      const own = await FencedFile.open(folder);
      await own.write(`${token}`, token);
    });
    const read = file.read();
    const outcomes = await Promise.allSettled(writes);

    expect([undefined, "3", "7", "12"]).toContain(await read);
    expect(await file.read()).toBe("12");
    const [, greatest, , again] = outcomes;
    expect([greatest, again]).toMatchObject([{ status: "fulfilled" }, { status: "fulfilled" }]);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(StaleTokenError);
    }
    await expect(file.write("late", 7n)).rejects.toThrow("token 7 is stale: 12 was here");
    await file.write("12 again", 12n);
    expect(await file.read()).toBe("12 again");
    await file.write("at last", 100n);
    expect(await file.read()).toBe("at last");
    expect(await readdir(folder)).toEqual(["100.txt"]);
  }
});
