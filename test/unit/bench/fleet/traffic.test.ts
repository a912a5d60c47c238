import { MockAgent } from "undici";
import { expect, test } from "vitest";

import { TrafficCounter } from "../../../../bench/fleet/traffic-counter.js";
import { countersOf, trafficOf } from "../../../../bench/fleet/traffic.js";

const cas = '{"KV":{"Verb":"cas","Key":"jobs/.lock","Value":"e30="}}';
const tree = '{"KV":{"Verb":"get-tree","Key":"jobs/"}}';
const session = "0b4439ce-161b-9ac9-fad8-2f7656cd6ec7";

test.each([
  ["GET", "/v1/kv/jobs/?recurse&consistent&index=12", null, ["lists"]],
  ["GET", "/v1/kv/jobs/?keys=", null, ["lists"]],
  ["GET", "/v1/kv/jobs/.lock?consistent&index=12&wait=5s", null, ["reads"]],
  ["GET", "/v1/kv/recurse", null, ["reads"]],
  ["PUT", `/v1/kv/jobs/${session}?acquire=${session}&flags=1`, "web:1", ["writes"]],
  ["DELETE", "/v1/kv/jobs/?recurse", null, ["writes"]],
  ["PUT", "/v1/txn", `[${cas}]`, ["transactions"]],
  ["PUT", "/v1/txn?ns=a", `[${cas},${tree}]`, ["transactions", "lists"]],
  ["PUT", "/v1/txn", Buffer.from(`[${tree.replace(":", ": ")}]`), ["transactions", "lists"]],
  // The lock entry and the tail, as who enters a long queue does.
  ["PUT", "/v1/txn", `[${tree.replace("jobs/", "jobs/.lock")}]`, ["transactions"]],
  ["PUT", "/v1/txn", `[${tree.replace("jobs/", "jobs/.tail/")}]`, ["transactions"]],
  // A key of any name.
  ["PUT", "/v1/txn", JSON.stringify([{ KV: { Key: tree } }]), ["transactions"]],
  ["PUT", "/v1/session/create?dc=a", "{}", ["sessions"]],
  ["PUT", `/v1/session/destroy/${session}`, null, ["sessions"]],
  ["PUT", `/v1/session/renew/${session}`, null, ["renewals"]],
  ["GET", `/v1/session/info/${session}`, null, []],
  ["GET", "/v1/status/leader", null, []],
])("%s %s with %s counts as %j", (method, path, body, counters) => {
  expect(countersOf({ method, path, body })).toEqual(counters);
});

test("the counter counts requests, refusals and what is received, and passes all of it on", async () => {
  const consul = new MockAgent();
  consul.disableNetConnect();
  const origin = "http://consul";
  consul.get(origin).intercept({ method: "PUT", path: "/v1/txn" }).reply(409, "{}");
  consul.get(origin).intercept({ path: "/v1/kv/jobs/?recurse" }).reply(200, "[12]");
  const counter = new TrafficCounter();
  const dispatcher = consul.compose(counter.interceptor);

  const refused = await dispatcher.request({ origin, method: "PUT", path: "/v1/txn", body: "[]" });
  expect(refused.statusCode).toBe(409);
  expect(await refused.body.text()).toBe("{}");
  const before = counter.total;
  const listed = await dispatcher.request({ origin, method: "GET", path: "/v1/kv/jobs/?recurse" });
  expect(await listed.body.json()).toEqual([12]);

  const nothing = trafficOf(() => 0);
  const first = { ...nothing, requests: 1, transactions: 1, refused: 1, bytesRead: 2 };
  expect(before).toEqual(first);
  expect(counter.total).toEqual({ ...first, requests: 2, lists: 1, bytesRead: 6 });
  await consul.close();
});
