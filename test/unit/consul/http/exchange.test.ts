import { getEventListeners } from "node:events";

import { Client, type Dispatcher } from "undici";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { AnswerTooLongError, exchange } from "../../../../src/consul/http/exchange.js";
import { CarriedDispatcher } from "../../../../src/testing/fake-consul/carried-dispatcher.js";
import type { HttpResponse, Receiver } from "../../../../src/testing/fake-consul/carrier.js";
import { rejectionOf } from "../../rejection.js";

const OPTIONS = { origin: "http://127.0.0.1:8500", path: "/v1/kv/a", method: "GET" } as const;

let controller: AbortController;
let receiver: Receiver | undefined;
let givenUp: number;
let dispatcher: Dispatcher;

beforeEach(() => {
  controller = new AbortController();
  receiver = undefined;
  givenUp = 0;
  dispatcher = new CarriedDispatcher((_, given) => {
    receiver = given;
    return () => {
      givenUp += 1;
    };
  });
});

afterEach(() => {
  expect(getEventListeners(controller.signal, "abort")).toEqual([]);
});

const send = (maxBytes = 100): ReturnType<typeof exchange> =>
  exchange(dispatcher, OPTIONS, { signal: controller.signal, maxBytes });

const answer = (body: string): HttpResponse => ({
  status: 404,
  headers: { "X-Consul-Index": "7" },
  body,
});

test("an answer comes whole, whatever its status", async () => {
  const sent = send();
  receiver?.response(answer("nichts für ungut"));
  expect(await sent).toEqual({
    status: 404,
    headers: { "x-consul-index": "7" },
    body: "nichts für ungut",
  });
});

test("an answer may be empty", async () => {
  const sent = send();
  receiver?.response(answer(""));
  expect(await sent).toMatchObject({ body: "" });
});

test("a failure is told as it is", async () => {
  const failure = new Error("reset");
  const sent = send();
  receiver?.error(failure);
  expect(await rejectionOf(sent)).toBe(failure);
});

describe("an answer that is too long", () => {
  test("is given up", async () => {
    const sent = send(15);
    receiver?.response(answer("16 bytes it has."));
    const error = await rejectionOf(sent);
    expect(error).toBeInstanceOf(AnswerTooLongError);
    expect(error).toMatchObject({ message: "response exceeds 15 bytes" });
  });

  test("is not one that just fits", async () => {
    const sent = send(16);
    receiver?.response(answer("16 bytes it has."));
    expect(await sent).toMatchObject({ body: "16 bytes it has." });
  });
});

describe("an abort", () => {
  test("rejects with its reason, and gives the request up", async () => {
    const reason = new Error("enough");
    const sent = send();
    controller.abort(reason);
    expect(await rejectionOf(sent)).toBe(reason);
    expect(givenUp).toBe(1);
  });

  test("that came before sends nothing", async () => {
    controller.abort("a reason that is no error");
    expect(await rejectionOf(send())).toBe("a reason that is no error");
    expect(receiver).toBeUndefined();
  });

  test("rejects at once where there is no connection yet", async () => {
    // Nobody answers there, not even with a refusal.
    const client = new Client("http://127.0.0.1:8500", { connect: () => undefined });
    const sent = exchange(client, OPTIONS, { signal: controller.signal, maxBytes: 100 });
    controller.abort(new Error("enough"));
    expect(await rejectionOf(sent)).toMatchObject({ message: "enough" });
    void client.destroy();
  });
});
