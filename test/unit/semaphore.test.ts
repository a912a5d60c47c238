// What a semaphore makes of a Consul that behaves in a way no real one can be brought to.
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { ConsulClient } from "../../src/consul-client.js";
import { SemaphoreLostError, SemaphoreOptionsError } from "../../src/semaphore-errors.js";
import { Semaphore } from "../../src/semaphore.js";
import { rejectionOf } from "./rejection.js";
import { reply, replyToRead, ScriptedServer, type ScriptedAnswer } from "./scripted-server.js";

const SESSION = "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2";

let server: ScriptedServer;
let client: ConsulClient;

beforeEach(async () => {
  server = await ScriptedServer.listen();
  client = new ConsulClient({ address: server.address });
});

afterEach(async () => {
  vi.useRealTimers();
  await client.close();
  await server.close();
});

const OUR_ENTRY = replyToRead(
  JSON.stringify([
    {
      LockIndex: 1,
      Key: `jobs/${SESSION}`,
      Flags: 0,
      Value: null,
      Session: SESSION,
      CreateIndex: 5,
      ModifyIndex: 5,
    },
  ]),
);

const NOTHING = reply("", { status: 404, headers: { "x-consul-index": "7" } });

/** A Consul that answers these requests so, and every other write with `true`. */
function consul(answers: {
  readonly listing: ScriptedAnswer;
  readonly entry?: ScriptedAnswer;
  readonly swap?: ScriptedAnswer;
}): void {
  server.always((response) => {
    const { url = "" } = response.req;
    const answer = url.startsWith("/v1/session/create")
      ? reply(JSON.stringify({ ID: SESSION }))
      : url.includes("recurse")
        ? answers.listing
        : url.includes("acquire=")
          ? (answers.entry ?? reply("true"))
          : url.includes("cas=")
            ? (answers.swap ?? reply("true"))
            : response.req.method === "GET"
              ? NOTHING
              : reply("true");
    answer(response);
  });
}

const requestsTo = (part: string): number =>
  server.requests.filter(({ url }) => url.includes(part)).length;

test("tryAcquire comes to an end also where every swap is lost to somebody else", async () => {
  consul({ listing: OUR_ENTRY, swap: reply("false") });
  const options = { prefix: "jobs", limit: 1, semaphoreWaitTime: "100ms" };
  const start = performance.now();
  expect(await client.semaphoreOpts(options).tryAcquire()).toBeNull();
  // There was a free slot all the time, so that it was worth another second.
  expect(performance.now() - start).toBeGreaterThanOrEqual(1_000);
  expect(requestsTo("cas=")).toBeGreaterThan(0);
});

test("a waiter that is never listed comes back after longer and longer pauses", async () => {
  consul({ listing: NOTHING });
  const options = { prefix: "jobs", limit: 1, semaphoreWaitTime: "1s" };
  expect(await client.semaphoreOpts(options).tryAcquire()).toBeNull();
  // After 50, 150, 350 and 750 ms, and when the time is over.
  expect(requestsTo("/v1/session/create")).toBeLessThanOrEqual(6);
  expect(requestsTo("/v1/session/destroy")).toBe(requestsTo("/v1/session/create"));
});

test("an acquire that could not make its contender entry deletes none", async () => {
  consul({ listing: NOTHING, entry: reply("false") });
  const sem = client.semaphoreOpts({ prefix: "jobs", limit: 1, session: SESSION });
  const failure = await rejectionOf(sem.acquire());
  expect(String(failure)).toContain("failed to make contender entry: another session has the lock");
  expect(failure).toMatchObject({ code: "SEMAPHORE_CONTENDER_FAILED" });
  expect(server.requests.map(({ method }) => method)).toEqual(["PUT"]);
});

test("run tells of a loss that only the clock shows yet", async () => {
  consul({ listing: OUR_ENTRY });
  vi.useFakeTimers({ toFake: ["performance"] });
  const sem = client.semaphorePrefix("jobs", 1);
  const failure = await rejectionOf(
    sem.run((slot) => {
      expect(slot.held).toBe(true);
      // As if it had blocked the event loop for so long that no timer has fired since.
      vi.advanceTimersByTime(15_000);
      expect(slot.held).toBe(false);
      expect(slot.signal.aborted).toBe(false);
    }),
  );
  expect(failure).toBeInstanceOf(SemaphoreLostError);
  expect(failure).toMatchObject({ reason: "session-expired" });
  expect(sem.isHeld).toBe(false);
});

test("what is no signal or no function is refused before anything is sent", async () => {
  const sem = client.semaphorePrefix("jobs", 1);
  const unhandled = vi.fn();
  process.on("unhandledRejection", unhandled);
  try {
    for (const [method, ...args] of [
      ["acquire", { signal: new AbortController().signal }],
      ["acquire", null],
      ["tryAcquire", 5_000],
      ["run"],
      ["run", new AbortController().signal, () => undefined],
      ["run", () => undefined, {}],
    ] as const) {
      const call: unknown = Reflect.get(sem, method);
      if (typeof call !== "function") throw new Error(`no method ${method}`);
      const failure = await rejectionOf(Promise.resolve(Reflect.apply(call, sem, args)));
      expect(failure).toBeInstanceOf(SemaphoreOptionsError);
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).not.toHaveBeenCalled();
    expect(server.requests).toEqual([]);
  } finally {
    process.off("unhandledRejection", unhandled);
  }
});

test("a semaphore of no client is refused", () => {
  expect(() => {
    Reflect.construct(Semaphore, [undefined, { prefix: "jobs", limit: 1 }]);
  }).toThrow("missing client: got undefined");
});
