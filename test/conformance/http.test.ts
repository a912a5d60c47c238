// What is no endpoint's own: paths, methods, the form of the JSON, and giving up.
import { expect, test } from "vitest";

import { conform, freshPrefix, indexOf } from "./consul-under-test.js";

conform((consul) => {
  test.each([
    ["POST", "/v1/kv/a", "OPTIONS,GET,PUT,DELETE"],
    ["GET", "/v1/session/create", "OPTIONS,PUT"],
    ["GET", "/v1/session/renew/x", "OPTIONS,PUT"],
    ["PUT", "/v1/session/info/x", "OPTIONS,GET"],
    ["GET", "/v1/txn", "OPTIONS,PUT"],
    ["PUT", "/v1/status/leader", "OPTIONS,GET"],
    ["PUT", "/v1/agent/self", "OPTIONS,GET"],
  ])("%s %s is 405", async (method, path, allow) => {
    const answer = await consul.send(method, path);
    expect(answer).toMatchObject({ status: 405, body: `method ${method} not allowed` });
    expect(answer.header("allow")).toBe(allow);
  });

  test.each(["/v1/none", "/v2/kv/a", "/v1/session/create/", "/v1/txn/x"])(
    "%s is 404",
    async (path) => {
      expect(await consul.send("PUT", path)).toMatchObject({ status: 404, body: "" });
    },
  );

  test("a path that is not clean is sent elsewhere", async () => {
    const answer = await consul.send("PUT", "/v1/kv/a//b/%2E%2E/c");
    expect(answer).toMatchObject({ status: 301, body: "" });
    expect(answer.header("location")).toBe("/v1/kv/a/c");
  });

  test("a key that cannot be printed is 400, and a broken query 500", async () => {
    expect(await consul.send("PUT", "/v1/kv/%07")).toMatchObject({ status: 400, body: "" });
    expect(await consul.send("PUT", "/v1/kv/a?flags=%zz")).toMatchObject({ status: 500, body: "" });
  });

  test("the leader has an address", async () => {
    expect((await consul.send("GET", "/v1/status/leader")).body).toMatch(/^"127\.0\.0\.1:\d+"$/);
  });

  test("the agent says which node it is, and where", async () => {
    const { body } = await consul.send("GET", "/v1/agent/self");
    const session = await consul.client.session.info(await consul.session());
    const Config = { Datacenter: "dc1", NodeName: session.value?.node, Server: true };
    expect(JSON.parse(body)).toMatchObject({ Config });
  });

  test("pretty JSON, byte by byte", async () => {
    const key = `${freshPrefix()}/{"[,]:`;
    const path = `/v1/kv/${encodeURIComponent(key).replaceAll("%2F", "/")}`;
    const session = await consul.session();
    expect((await consul.sendRaw("PUT", `${path}?pretty&acquire=${session}`)).body).toBe("true\n");
    const answer = await consul.sendRaw("GET", `${path}?pretty`);
    const index = indexOf(answer);
    expect(answer.body).toBe(
      [
        "[",
        "    {",
        '        "LockIndex": 1,',
        `        "Key": ${JSON.stringify(key)},`,
        '        "Flags": 0,',
        '        "Value": null,',
        `        "Session": "${session}",`,
        `        "CreateIndex": ${index},`,
        `        "ModifyIndex": ${index}`,
        "    }",
        "]",
        "",
      ].join("\n"),
    );
    const none = "/v1/session/info/adf4238a-882b-9ddc-4a9d-5b6758e4159e?pretty";
    expect((await consul.sendRaw("GET", none)).body).toBe("[]\n");
  });

  test("a query that is given up rejects with the reason", async () => {
    const reason = new Error("no longer wanted");
    const controller = new AbortController();
    const key = freshPrefix();
    const waiting = consul.client.kv.get(key, {
      index: 2n ** 62n,
      wait: "5m",
      signal: controller.signal,
    });
    const outcome = waiting.catch((error: unknown) => error);
    await consul.client.kv.put({ key, value: "x" });
    controller.abort(reason);
    expect(await outcome).toBe(reason);
    expect((await consul.client.kv.get(key)).value).not.toBeNull();
  });
});
