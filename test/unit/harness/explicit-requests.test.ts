import { createServer } from "node:http";
import type { Server } from "node:http";
import { afterEach, expect, test } from "vitest";
import { namedBinary } from "../../harness/consul-binary.js";
import { freePorts } from "../../harness/free-ports.js";
import { runningAgent } from "../../harness/running-agent.js";

let server: Server | undefined;

afterEach(() => {
  server?.close();
  server = undefined;
});

/** A stand-in for an agent that gives one answer to everything. */
async function answering(status: number, body: string): Promise<string> {
  const [port = 0] = await freePorts(1);
  const started = createServer((_, response) => response.writeHead(status).end(body));
  server = started;
  await new Promise<void>((resolve) => started.listen(port, "127.0.0.1", resolve));
  return `127.0.0.1:${port}`;
}

test.each([{}, { CONSUL_HTTP_ADDR: "", CONSUL_BIN: " " }])(
  "what is not set, or empty, is passed over: %j",
  async (env) => {
    expect(await runningAgent(env)).toEqual({ missing: "CONSUL_HTTP_ADDR is not set" });
    expect(await namedBinary(env)).toEqual({ missing: "CONSUL_BIN is not set" });
  },
);

test.each([
  ["host:port", (hostPort: string) => hostPort],
  ["a URL", (hostPort: string) => `http://${hostPort}`],
  ["a URL with a slash", (hostPort: string) => `http://${hostPort}/`],
])("CONSUL_HTTP_ADDR may be %s", async (_, form) => {
  const hostPort = await answering(200, '"127.0.0.1:8300"');
  expect(await runningAgent({ CONSUL_HTTP_ADDR: form(hostPort) })).toMatchObject({
    found: { kind: "agent", address: `http://${hostPort}` },
  });
});

test.each([
  [200, '""', /its cluster has no leader/],
  [500, "No cluster leader", /it answered 500: No cluster leader/],
  [200, "<html>", /not valid JSON/],
])("an agent that answers %i %s is refused", async (status, body, reason) => {
  const hostPort = await answering(status, body);
  const probe = runningAgent({ CONSUL_HTTP_ADDR: hostPort });
  await expect(probe).rejects.toThrow(reason);
  await expect(probe).rejects.toThrow(`CONSUL_HTTP_ADDR is "${hostPort}", where no Consul serves`);
});

test("an agent that does not answer is refused", async () => {
  const [port = 0] = await freePorts(1);
  await expect(runningAgent({ CONSUL_HTTP_ADDR: `127.0.0.1:${port}` })).rejects.toThrow(
    /ECONNREFUSED.*Start an agent there, or unset it/,
  );
});

test.each(["unix:///run/consul.sock", "http://", "ftp://127.0.0.1"])(
  "an address like %s is refused",
  async (address) => {
    await expect(runningAgent({ CONSUL_HTTP_ADDR: address })).rejects.toThrow(
      "it should be host:port, http://host:port or https://host:port",
    );
  },
);

test.each([
  ["/no/such/consul", /does not exist/],
  [import.meta.filename, /may not be executed/],
  [process.execPath, /failed|is not Consul/],
])("CONSUL_BIN=%s is refused", async (path, reason) => {
  const probe = namedBinary({ CONSUL_BIN: path });
  await expect(probe).rejects.toThrow(reason);
  await expect(probe).rejects.toThrow(`CONSUL_BIN is ${JSON.stringify(path)}`);
});
