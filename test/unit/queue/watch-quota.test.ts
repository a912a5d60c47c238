import { beforeEach, expect, test } from "vitest";

import { WatchQuota } from "../../../src/queue/watch-quota.js";
import { FakeTime } from "../fake-time.js";

const MOST = 32;

let time: FakeTime;
let quota: WatchQuota;
let queries: Query[];
let looks: number;
let change: string | undefined;

interface Query {
  readonly answer: (found: string) => void;
  readonly fail: (error: Error) => void;
}

beforeEach(() => {
  time = new FakeTime();
  quota = new WatchQuota();
  queries = [];
  looks = 0;
  change = undefined;
});

function watch(signal?: AbortSignal): Promise<string> {
  return quota.watch({
    signal,
    query: () =>
      new Promise((resolve, reject) => {
        queries.push({ answer: resolve, fail: reject });
        signal?.addEventListener("abort", () => {
          reject(new Error("aborted"));
        });
      }),
    poll: () => {
      looks += 1;
      return Promise.resolve(change);
    },
  });
}

const watchMany = (count: number): Promise<string>[] =>
  Array.from({ length: count }, () => watch());

function watchAgainAndAgain(count: number): void {
  for (const found of watchMany(count)) {
    void found.then(() => {
      watchAgainAndAgain(1);
    });
  }
}

/** Those under way end, one after the other. */
function answerAll(): void {
  for (const { answer } of queries.splice(0)) answer("news");
}

test("a key is watched by a blocking query, and not looked at beside", async () => {
  const found = watch();
  await time.pass(10_000);
  queries[0]?.answer("news");
  expect(await found).toBe("news");
  expect(looks).toBe(0);
});

test("keys beyond the bound are looked at again and again", async () => {
  const found = watchMany(MOST + 2);
  await time.pass(2_000);
  expect(queries).toHaveLength(MOST);
  expect(looks).toBeGreaterThanOrEqual(2 * 3);
  expect(looks).toBeLessThanOrEqual(2 * 6);
  change = "news";
  await time.pass(600);
  expect(await Promise.all(found.slice(MOST))).toEqual(["news", "news"]);
});

test("many of them are looked at no more than 150 times a second in all", async () => {
  void watchMany(MOST + 400);
  await time.pass(20_000);
  expect(looks).toBeGreaterThan(20 * 80);
  expect(looks).toBeLessThan(20 * 150);
});

test("the next one has the place of a query that is over", async () => {
  void watchMany(MOST + 1);
  await time.settle();
  queries[0]?.answer("news");
  await time.pass(1_000);
  expect(queries).toHaveLength(MOST + 1);
});

test("half of the queries run out where the agent refuses connections, and looks replace them", async () => {
  watchAgainAndAgain(8);
  await time.settle();
  quota.giveWay();
  quota.giveWay();
  await time.pass(10_000);
  expect({ queries: queries.length, looks }).toEqual({ queries: 8, looks: 0 });
  answerAll();
  await time.pass(1_100);
  expect(queries).toHaveLength(4);
  expect(looks).toBeGreaterThanOrEqual(4);
  for (const left of [2, 1, 0]) {
    quota.giveWay();
    answerAll();
    await time.pass(1_100);
    expect(queries).toHaveLength(left);
  }
});

test("they come back when the agent has refused none for half a minute", async () => {
  watchAgainAndAgain(8);
  await time.settle();
  quota.giveWay();
  answerAll();
  await time.pass(20_000);
  quota.giveWay();
  answerAll();
  await time.pass(29_000);
  expect(queries).toHaveLength(2);
  await time.pass(2_000);
  expect(queries).toHaveLength(8);
});

test("a query that fails as the agent refuses connections becomes a look", async () => {
  change = "news";
  const found = watch();
  await time.settle();
  quota.giveWay();
  queries[0]?.fail(new Error("the connection is closed"));
  await time.pass(600);
  expect(await found).toBe("news");
});

test("one that fails otherwise says so", async () => {
  const found = watch();
  queries[0]?.fail(new Error("no leader"));
  await expect(found).rejects.toThrow("no leader");
});

test("the end of a wait ends the query, and the pause between two looks", async () => {
  const all = new AbortController();
  const found = Promise.allSettled(Array.from({ length: MOST + 1 }, () => watch(all.signal)));
  await time.settle();
  all.abort(new Error("enough"));
  for (const { status } of await found) expect(status).toBe("rejected");
  expect(looks).toBe(0);
});
