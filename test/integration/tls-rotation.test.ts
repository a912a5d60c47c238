// A Consul with TLS on both sides, whose authority and certificates are replaced under those who hold
// and wait.
import { copyFile, mkdir } from "node:fs/promises";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { ConsulClient, type Semaphore } from "../../src/index.js";
import { consulCli } from "../harness/consul-cli.js";
import { freePorts } from "../harness/free-ports.js";
import { runProgram } from "../harness/run-program.js";
import { rejectionOf } from "../unit/rejection.js";
import { eventually } from "./fixture.js";
import { freshFolder, startOwnAgent, type AtEnd } from "./own-agent.js";
import { Relay } from "./relay.js";

const CLI_WITHIN_MS = 30_000;
const TTL_MS = 10_000;

type Generation = "old" | "new";
type Side = "server" | "client";
const PARTS = ["ca", "cert", "key"] as const;
type Part = (typeof PARTS)[number];

let folder: string;
const ends: (() => Promise<void>)[] = [];

beforeAll(async () => {
  folder = await freshFolder((end) => ends.push(end));
  await Promise.all([makeAuthority("old"), makeAuthority("new")]);
});

afterAll(async () => {
  for (const end of ends.toReversed()) await end();
});

async function makeAuthority(generation: Generation): Promise<void> {
  const cwd = path.join(folder, generation);
  await mkdir(cwd);
  const consul = await consulCli();
  for (const args of [["ca"], ["cert", "-server"], ["cert", "-client"]]) {
    const [kind = "", ...flags] = args;
    const command = ["tls", kind, "create", "-days", "2", ...flags];
    await runProgram(consul, command, { cwd, timeoutMs: CLI_WITHIN_MS });
  }
}

function made(generation: Generation, side: Side, part: Part): string {
  const name = {
    ca: "consul-agent-ca.pem",
    cert: `dc1-${side}-consul-0.pem`,
    key: `dc1-${side}-consul-0-key.pem`,
  }[part];
  return path.join(folder, generation, name);
}

/** The files that one side uses, under names that stay. */
class Files {
  readonly #side: Side;
  readonly #folder: string;

  constructor(side: Side, folder: string) {
    this.#side = side;
    this.#folder = folder;
  }

  at(part: Part): string {
    return path.join(this.#folder, `${this.#side}-${part}.pem`);
  }

  async install(generation: Generation, parts: readonly Part[] = PARTS): Promise<void> {
    for (const part of parts) {
      await copyFile(made(generation, this.#side, part), this.at(part));
    }
  }
}

interface Scene {
  readonly client: Files;
  /** A client that uses these files. */
  readonly connect: () => ConsulClient;
  /** Has the server go over to its new authority and certificate, and cuts all connections. */
  readonly rotateServer: () => Promise<void>;
  readonly cut: () => void;
}

async function scene(atEnd: AtEnd): Promise<Scene> {
  const own = await freshFolder(atEnd);
  const [server, client] = [new Files("server", own), new Files("client", own)];
  await Promise.all([server.install("old"), client.install("old")]);
  const [https = 0] = await freePorts(1);
  const agent = await startOwnAgent(
    `ports { https = ${https} }
     ca_file = "${server.at("ca")}"
     cert_file = "${server.at("cert")}"
     key_file = "${server.at("key")}"
     verify_incoming_https = true`,
    atEnd,
  );
  const relay = await Relay.to(https, atEnd);
  return {
    client,
    connect: () => {
      const consul = new ConsulClient({
        address: `https://127.0.0.1:${relay.port}`,
        tls: {
          caFile: client.at("ca"),
          certFile: client.at("cert"),
          keyFile: client.at("key"),
        },
      });
      atEnd(() => consul.close());
      return consul;
    },
    rotateServer: async () => {
      await server.install("new");
      const { ok } = await fetch(`${agent.address}/v1/agent/reload`, { method: "PUT" });
      expect(ok).toBe(true);
      relay.cut();
    },
    cut: () => {
      relay.cut();
    },
  };
}

function semaphoreOf(client: ConsulClient): Semaphore {
  return client.semaphoreOpts({ prefix: "jobs", limit: 1, sessionTTL: TTL_MS });
}

/** On a busy machine a look at the files may be late for one connection, and counts for the next. */
async function untilAnswered(consul: ConsulClient): Promise<void> {
  await eventually(
    () => consul.kv.get("any").then(() => undefined, String),
    (refusal) => refusal === undefined,
  );
}

/** One holds and one waits, while something happens, and for more than a TTL after. */
async function outlives(consul: ConsulClient, happens: () => Promise<void>): Promise<void> {
  const [holder, waiter] = [semaphoreOf(consul), semaphoreOf(consul)];
  const slot = await holder.acquire();
  const next = waiter.acquire();
  await eventually(
    () => waiter.inspect(),
    ({ waiters }) => waiters.length === 1,
  );
  await happens();
  await pause(TTL_MS + 1_000);
  expect(slot.held).toBe(true);
  await holder.release();
  expect((await next).fencingToken).toBeGreaterThan(slot.fencingToken);
  await waiter.release();
}

describe.concurrent("a holder and a waiter outlive", () => {
  test("new certificates of a new authority, on both sides", async (context) => {
    const { client, connect, rotateServer } = await scene(context.onTestFinished);
    await outlives(connect(), async () => {
      await client.install("new");
      await rotateServer();
    });
  });

  test("those of the server, until their own follow", async (context) => {
    const { client, connect, rotateServer } = await scene(context.onTestFinished);
    const consul = connect();
    await outlives(consul, async () => {
      await rotateServer();
      const refused = await rejectionOf(consul.kv.get("any"));
      expect(refused).toMatchObject({ code: "CONSUL_UNREACHABLE", retryable: true });
      const [ca, cert, key] = PARTS.map((part) => client.at(part));
      expect(String(refused)).toContain(
        `; in use: tls.caFile ${ca}, tls.certFile ${cert}, tls.keyFile ${key}, as read at 20`,
      );
      await client.install("new");
      await untilAnswered(consul);
    });
  });

  test("files of which some are still to be written", async (context) => {
    const { client, connect, rotateServer, cut } = await scene(context.onTestFinished);
    const consul = connect();
    await outlives(consul, async () => {
      // A new authority with the old certificate and its key would be valid, and refuse the server.
      await client.install("new", ["cert", "ca"]);
      cut();
      // The server still is who it was.
      await consul.kv.get("any");
      await rotateServer();
      await eventually(
        async () => String(await rejectionOf(consul.kv.get("any"))),
        (error) =>
          error.includes("; not as they are now: invalid tls.certFile, tls.keyFile: the key does"),
      );
      await client.install("new");
      await untilAnswered(consul);
    });
  });
});

test("a client that nobody has answered goes by the files that are there when it connects", async () => {
  const atEnd: AtEnd = (end) => ends.push(end);
  const { client, connect, rotateServer } = await scene(atEnd);
  const consul = connect();
  await rotateServer();
  await client.install("new");
  await untilAnswered(consul);
});
