import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { requestKind } from "../../../bench/wire/request-kind.js";
import { RequestStream } from "../../../bench/wire/request-stream.js";

/** What it tells of these chunks. */
function requestsIn(chunks: readonly Buffer[]): readonly string[] {
  const found: string[] = [];
  const stream = new RequestStream((method, target) => found.push(`${method} ${target}`));
  for (const chunk of chunks) stream.push(chunk);
  return found;
}

const request = (head: string, body = ""): string =>
  `${head} HTTP/1.1\r\nHost: consul\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

describe("the requests of a connection", () => {
  // A body that looks like a request is none.
  const text =
    request("PUT /v1/txn", "GET /trap HTTP/1.1\r\n\r\n") +
    "GET /v1/kv/a?recurse HTTP/1.1\r\nHost: consul\r\n\r\n" +
    request("PUT /v1/kv/ä", "ü");
  const expected = ["PUT /v1/txn", "GET /v1/kv/a?recurse", "PUT /v1/kv/\u00c3\u00a4"];

  test("are counted however they are cut", () => {
    const bytes = Buffer.from(text);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 12 }), (cuts) => {
        const bounds = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
        const chunks = bounds.slice(1).map((end, index) => bytes.subarray(bounds[index], end));
        expect(requestsIn(chunks)).toEqual(expected);
      }),
    );
  });

  test("are told as soon as their head is there", () => {
    expect(requestsIn([Buffer.from(request("PUT /v1/txn", "body").slice(0, -4))])).toHaveLength(1);
    expect(requestsIn([Buffer.from(request("PUT /v1/txn", "body").slice(0, -5))])).toHaveLength(0);
    expect(requestsIn([Buffer.from("GET /v1/txn HTTP/1.1\r\n")])).toHaveLength(0);
  });

  test.each([
    ["what is no request", "HELO consul\r\n\r\n"],
    ["a body of unknown length", "PUT /v1/txn HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"],
  ])("can't be counted with %s", (_, sent) => {
    expect(() => requestsIn([Buffer.from(sent)])).toThrow("can't count");
  });
});

test.each([
  ["GET", "/v1/kv/bench/4f1e?recurse&index=12&wait=5s&consistent", "GET /v1/kv/…?recurse&index"],
  [
    "PUT",
    "/v1/kv/bench/4f1e/0b4439ce-161b-9ac9-fad8-2f7656cd6ec7?acquire=0b4439ce-161b-9ac9-fad8-2f7656cd6ec7&flags=1",
    "PUT /v1/kv/…/ID?acquire",
  ],
  ["PUT", "/v1/txn", "PUT /v1/txn"],
])("what %s %s is about is %s", (method, target, kind) => {
  expect(requestKind(method, target)).toBe(kind);
});
