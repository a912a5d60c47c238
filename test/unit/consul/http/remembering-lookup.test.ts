import type { LookupAddress } from "node:dns";

import { beforeEach, expect, test } from "vitest";

import { rememberingLookup } from "../../../../src/consul/http/remembering-lookup.js";
import { FakeTime } from "../../fake-time.js";

const FIRST: LookupAddress = { address: "10.0.0.1", family: 4 };
const SECOND: LookupAddress = { address: "10.0.0.2", family: 4 };

let answers: ((found: LookupAddress[] | Error) => void)[];
let find: () => Promise<unknown>;

beforeEach(() => {
  answers = [];
  const lookup = rememberingLookup(
    () =>
      new Promise((resolve, reject) => {
        answers.push((found) => {
          if (found instanceof Error) reject(found);
          else resolve(found);
        });
      }),
  );
  find = () =>
    new Promise((resolve, reject) => {
      lookup("consul.example", { all: true }, (error, found) => {
        if (error === null) resolve(found);
        else reject(error);
      });
    });
});

test("the first lookup is waited for, however long it takes, and shared", async () => {
  const time = new FakeTime();
  const found = [find(), find()];
  await time.pass(60_000);
  expect(answers).toHaveLength(1);
  answers[0]?.([FIRST]);
  expect(await Promise.all(found)).toEqual([[FIRST], [FIRST]]);
});

test("a new answer counts if it comes in time", async () => {
  const first = find();
  answers[0]?.([FIRST]);
  await first;
  const next = find();
  answers[1]?.([SECOND]);
  expect(await next).toEqual([SECOND]);
});

test("the last answer does where a new one does not come in time, and the late one counts later", async () => {
  const time = new FakeTime();
  const first = find();
  answers[0]?.([FIRST]);
  await first;
  const next = [find(), find()];
  await time.pass(250);
  expect(await Promise.all(next)).toEqual([[FIRST], [FIRST]]);
  answers[1]?.([SECOND]);
  await time.settle();
  const last = find();
  await time.pass(250);
  expect(await last).toEqual([SECOND]);
});

test("the last answer does where a lookup fails, and nothing where there is none", async () => {
  const failed = find();
  answers[0]?.(new Error("ENOTFOUND"));
  await expect(failed).rejects.toThrow("ENOTFOUND");
  const first = find();
  answers[1]?.([FIRST]);
  await first;
  const next = find();
  answers[2]?.(new Error("EAI_AGAIN"));
  expect(await next).toEqual([FIRST]);
});
