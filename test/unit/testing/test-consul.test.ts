import { ConsulClient } from "consul-semaphore";
import { TestConsul } from "consul-semaphore/testing";
import { afterEach, describe, expect, test, vi } from "vitest";

import { pass, startConsul } from "./test-time.js";

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("a client", () => {
  test.each([
    ["CONSUL_HTTP_ADDR", "https://consul.example:8501/proxy"],
    ["CONSUL_HTTP_ADDR", "unix:///run/consul.sock"],
    ["CONSUL_HTTP_SSL", "true"],
    ["CONSUL_HTTP_TOKEN", "not a token"],
    ["CONSUL_HTTP_TOKEN_FILE", "/there/is/no/such/file"],
    ["CONSUL_HTTP_AUTH", "user:password"],
    ["CONSUL_CACERT", "/there/is/no/such/file"],
    ["CONSUL_NAMESPACE", "team"],
    ["CONSUL_PARTITION", "part"],
  ])("is not disturbed by %s=%s", async (name, value) => {
    vi.stubEnv(name, value);
    const consul = startConsul();
    const slot = await consul.client().semaphorePrefix("jobs", 1).acquire();
    expect(slot.held).toBe(true);
  });

  test("may be the service's own, on a dispatcher", async () => {
    const consul = startConsul();
    const dispatcher = consul.dispatcher();
    const address = "https://consul.example:8501";
    await using client = new ConsulClient({ address, token: "secret", dispatcher });
    const slot = await client.semaphorePrefix("jobs", 1).acquire();
    expect(consul.sessions).toMatchObject([{ id: slot.session }]);
    await pass(1_000);
    consul.cut(dispatcher);
    await pass(15_000);
    expect(slot.held).toBe(false);
    consul.heal(dispatcher);
  });

  test("shares nothing with another", async () => {
    const consul = startConsul();
    const [one, other] = [consul.client(), consul.client()];
    expect(one).not.toBe(other);
    await one.semaphorePrefix("jobs", 2).acquire();
    await other.semaphorePrefix("jobs", 2).acquire();
    expect(consul.sessions).toHaveLength(2);
  });
});

describe("a Consul for tests", () => {
  test("shows its entries and sessions", async () => {
    const consul = startConsul();
    const client = consul.client();
    await client.kv.put({ key: "a", value: "1", flags: 7n });
    const id = await client.session.create({ name: "n", ttl: "10s", behavior: "delete" });
    const { value } = await client.kv.list("");
    expect(consul.entries).toEqual(value);
    expect(consul.sessions).toEqual((await client.session.list()).value);
    expect(consul.sessions).toMatchObject([{ id, name: "n", ttl: "10s" }]);
  });

  test("refuses to destroy or delete what is not there", () => {
    const consul = startConsul();
    expect(() => {
      consul.destroySession("misspelt");
    }).toThrow('there is no session "misspelt"');
    expect(() => {
      consul.deleteKey("jobs/.lcok");
    }).toThrow('there is no entry "jobs/.lcok"');
  });

  test("makes its session IDs of the given random numbers", async () => {
    const consul = startConsul({ random: () => 0.5 });
    expect(await consul.client().session.create()).toBe("80808080-8080-8080-8080-808080808080");
  });

  test("allows for shorter TTLs, so that a test can do in real time", async () => {
    await using consul = new TestConsul({ shortestTtl: 1_000 });
    const client = consul.client();
    const sem = client.semaphoreOpts({ prefix: "jobs", limit: 1, sessionTTL: "1s" });
    const slot = await sem.acquire();
    const lost = new Promise((resolve) => {
      slot.signal.addEventListener("abort", resolve);
    });
    consul.cut(client);
    await lost;
    expect(slot.signal.reason).toMatchObject({ reason: "session-expired" });
  });

  test("has no leader until one is elected", async () => {
    const consul = startConsul();
    const { kv } = consul.client();
    consul.loseLeader();
    await expect(kv.get("a")).rejects.toMatchObject({ status: 500, retryable: true });
    consul.electLeader();
    expect((await kv.get("a")).value).toBeNull();
  });
});

describe("the end", () => {
  test("releases what is held, and leaves nothing behind", async () => {
    const consul = startConsul();
    const held = await consul.client().semaphorePrefix("jobs", 1).acquire();
    await consul.client().session.create({ ttl: "10s" });
    await pass(1_000);
    await consul.close();
    expect(held.signal.aborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
    await consul.close();
  });

  test.each<[string, (consul: TestConsul) => void]>([
    [
      "cut",
      (consul) => {
        consul.cut();
      },
    ],
    [
      "refusing",
      (consul) => {
        consul.refuse();
      },
    ],
    [
      "without a leader",
      (consul) => {
        consul.loseLeader();
      },
    ],
  ])("takes no time where it was %s", async (_how, fail) => {
    const consul = startConsul();
    await consul.client().semaphorePrefix("jobs", 1).acquire();
    const waiting = consul.client().semaphorePrefix("jobs", 1).acquire();
    const refusal = expect(waiting).rejects.toMatchObject({ code: "SEMAPHORE_CLOSED" });
    await pass(1_000);
    fail(consul);
    await pass(3_000);
    // Nobody lets time pass.
    await consul.close();
    await refusal;
    expect(vi.getTimerCount()).toBe(0);
  });

  test("does not wait for work that does not stop", async () => {
    const consul = startConsul();
    const running = consul
      .client()
      .semaphorePrefix("jobs", 1)
      .run(() => new Promise(() => undefined));
    running.catch(() => undefined);
    await pass(1_000);
    await consul.close();
  });

  test("is for good", async () => {
    const consul = startConsul();
    const { kv } = consul.client();
    const dispatcher = consul.dispatcher();
    await consul.close();
    expect(() => consul.client()).toThrow("this TestConsul has been closed");
    expect(() => consul.dispatcher()).toThrow("this TestConsul has been closed");
    await expect(kv.get("a")).rejects.toMatchObject({ code: "CONSUL_CLOSED" });
    const late = new ConsulClient({ dispatcher });
    await expect(late.kv.get("a")).rejects.toMatchObject({ code: "CONSUL_UNREACHABLE" });
  });
});

describe("options", () => {
  test.each([
    [{ shortestTTL: 100 }, 'unknown option "shortestTTL" (known: random, shortestTtl, and port'],
    [
      { port: 8500 },
      'unknown option "port" (known: random, shortestTtl, and port for TestConsul.li',
    ],
    [{ shortestTtl: "1s" }, "invalid shortestTtl '1s', expected milliseconds, such as 1_000"],
    [{ shortestTtl: 0 }, "invalid shortestTtl 0, expected milliseconds"],
    [{ shortestTtl: Infinity }, "invalid shortestTtl Infinity, expected milliseconds"],
    [{ shortestTtl: NaN }, "invalid shortestTtl NaN, expected milliseconds"],
    [{ random: 0.5 }, "invalid random 0.5, expected a function such as Math.random"],
  ])("such as %o are refused", (options: Record<string, unknown>, message) => {
    expect(() => new TestConsul(options)).toThrow(TypeError);
    expect(() => new TestConsul(options)).toThrow(message);
  });
});
