// Consul over TLS, with certificates that its own CLI makes.
import { cp, mkdir, readFile } from "node:fs/promises";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

import { ConsulClient, type ConsulClientConfig, type ConsulTlsConfig } from "../../src/index.js";
import { consulCli } from "../harness/consul-cli.js";
import { freePorts } from "../harness/free-ports.js";
import { runProgram } from "../harness/run-program.js";
import { rejectionOf } from "../unit/rejection.js";
import { freshFolder, startOwnAgent, type AtEnd } from "./own-agent.js";

const CLI_WITHIN_MS = 30_000;
/** What is told at once is told long before anybody gives up, on a busy machine too. */
const AT_ONCE_MS = 10_000;

let folder: string;
let secure: string;
let plain: string;
const ends: (() => Promise<void>)[] = [];
const atEnd: AtEnd = (end) => {
  ends.push(end);
};

const file = (name: string): string => path.join(folder, name);

beforeAll(async () => {
  folder = await freshFolder(atEnd);
  const consul = await consulCli();
  const tls = (...args: readonly string[]): Promise<string> =>
    runProgram(consul, ["tls", ...args], { cwd: folder, timeoutMs: CLI_WITHIN_MS });
  await tls("ca", "create");
  await tls("cert", "create", "-server");
  await tls("cert", "create", "-client");
  await mkdir(file("authorities/more"), { recursive: true });
  await cp(file("consul-agent-ca.pem"), file("authorities/more/ca.pem"));
  const [port = 0] = await freePorts(1);
  const agent = await startOwnAgent(
    `ports { https = ${port} }
     ca_file = "${file("consul-agent-ca.pem")}"
     cert_file = "${file("dc1-server-consul-0.pem")}"
     key_file = "${file("dc1-server-consul-0-key.pem")}"
     verify_incoming_https = true`,
    atEnd,
  );
  secure = `https://127.0.0.1:${port}`;
  plain = agent.address;
});

afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

const authority = (): ConsulTlsConfig => ({ caFile: file("consul-agent-ca.pem") });

const ourCertificate = (): ConsulTlsConfig => ({
  certFile: file("dc1-client-consul-0.pem"),
  keyFile: file("dc1-client-consul-0-key.pem"),
});

/** A slot is acquired, its monitor gets to see it, and it is released. */
async function useSemaphore(config: ConsulClientConfig): Promise<void> {
  await using client = new ConsulClient(config);
  await client.semaphorePrefix("tls", 1).run(async (slot) => {
    expect(slot.held).toBe(true);
    expect((await client.semaphorePrefix("tls", 1).inspect()).holders).toMatchObject([
      { session: slot.session },
    ]);
  });
}

test("a semaphore works over TLS, with a certificate on both sides", async () => {
  await useSemaphore({ address: secure, tls: { ...authority(), ...ourCertificate() } });
});

test("all of it may come from the environment", async () => {
  vi.stubEnv("CONSUL_HTTP_ADDR", secure.replace("https://", ""));
  vi.stubEnv("CONSUL_HTTP_SSL", "true");
  vi.stubEnv("CONSUL_CACERT", file("consul-agent-ca.pem"));
  vi.stubEnv("CONSUL_CLIENT_CERT", file("dc1-client-consul-0.pem"));
  vi.stubEnv("CONSUL_CLIENT_KEY", file("dc1-client-consul-0-key.pem"));
  vi.stubEnv("CONSUL_TLS_SERVER_NAME", "server.dc1.consul");
  try {
    await useSemaphore({});
  } finally {
    vi.unstubAllEnvs();
  }
});

test("authorities may be in a folder, or given as they are", async () => {
  await useSemaphore({
    address: secure,
    tls: { caPath: file("authorities"), ...ourCertificate() },
  });
  const ca = await readFile(file("consul-agent-ca.pem"));
  await useSemaphore({ address: secure, tls: { ca: [ca], ...ourCertificate() } });
  await useSemaphore({ address: secure, tls: { ca: ca.toString(), ...ourCertificate() } });
});

test("the certificate may be for another name than the address's", async () => {
  const tls = { ...authority(), ...ourCertificate(), serverName: "server.dc1.consul" };
  await useSemaphore({ address: secure, tls });
});

test("a server may be taken as it is, with a warning", async () => {
  const warnings: unknown[] = [];
  const listener = (warning: Error): void => void warnings.push(warning);
  process.on("warning", listener);
  try {
    await useSemaphore({ address: secure, tls: { ...ourCertificate(), insecureSkipVerify: true } });
    expect(warnings).toMatchObject([{ code: "CONSUL_TLS_INSECURE", name: "SecurityWarning" }]);
  } finally {
    process.off("warning", listener);
  }
});

describe("an acquire tells at once what is wrong", () => {
  test.each<[string, () => ConsulClientConfig, RegExp]>([
    [
      "where the server's authority is not known",
      () => ({ address: secure, tls: ourCertificate() }),
      /certificate.*tls\.caFile, CONSUL_CACERT/,
    ],
    [
      "where the server's certificate carries another name",
      () => ({
        address: secure,
        tls: { ...authority(), ...ourCertificate(), serverName: "other.example" },
      }),
      /other\.example.*tls\.serverName/,
    ],
    [
      "where the server asks for a certificate of ours",
      () => ({ address: secure, tls: authority() }),
      /tls\.certFile and tls\.keyFile/,
    ],
    [
      "where the server speaks no TLS",
      () => ({ address: plain.replace("http:", "https:") }),
      /the address begins with http:\/\//,
    ],
    [
      "where the server speaks nothing else",
      () => ({ address: secure.replace("https:", "http:") }),
      /the address has to begin with https:\/\//,
    ],
  ])("%s", async (_, config, problem) => {
    await using client = new ConsulClient(config());
    const startedAt = performance.now();
    const error = await rejectionOf(client.semaphorePrefix("tls", 1).acquire());
    expect(performance.now() - startedAt).toBeLessThan(AT_ONCE_MS);
    expect(error).toMatchObject({ code: "SEMAPHORE_SESSION_FAILED" });
    expect(String(error)).toMatch(problem);
  });
});

test("a key that does not match the certificate is refused before the first request", () => {
  const tls = {
    certFile: file("dc1-client-consul-0.pem"),
    keyFile: file("dc1-server-consul-0-key.pem"),
  };
  expect(() => new ConsulClient({ address: secure, tls })).toThrow(
    "invalid tls.certFile, tls.keyFile: the key does not match the certificate",
  );
});
