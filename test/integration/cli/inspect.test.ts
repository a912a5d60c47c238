// `consul-semaphore inspect`, `resize` and `destroy` in processes of their own.
import { expect, test } from "vitest";

import { SEMAPHORE_FLAG_VALUE } from "../../../src/index.js";
import {
  connect,
  consul,
  eventually,
  freshPrefix,
  keysBelow,
  lockBelow,
  makeSession,
} from "../fixture.js";
import { Proxy } from "../proxy.js";
import { cli } from "./cli-process.js";

/** A semaphore with two holders, of which one is dead, and two waiters. */
async function crowded() {
  const client = connect();
  const prefix = freshPrefix();
  const contender = (value: string) => client.semaphoreOpts({ prefix, limit: 2, value });
  const holder = await contender("web-1:11").acquire();
  // As a crash leaves it: Consul has ended the session, and nobody has come since.
  const dead = await makeSession();
  const key = `${prefix}/.lock`;
  const { modifyIndex } = await lockBelow(prefix);
  const value = JSON.stringify({ Limit: 2, Holders: { [dead]: true, [holder.session]: true } });
  await client.kv.cas({ key, value, flags: SEMAPHORE_FLAG_VALUE, modifyIndex });
  return { prefix, holder, dead, contender };
}

test("a prefix that nobody uses", async () => {
  const prefix = freshPrefix();
  const { code, lines } = await cli(["inspect", `${prefix}/`]);
  expect(code).toBe(0);
  expect(lines.join("\n")).toMatch(
    new RegExp(`^${prefix}/: nobody uses this prefix \\(at index \\d+\\)$`),
  );
  expect(JSON.parse((await cli(["inspect", prefix, "--json"])).lines.join(""))).toMatchObject({
    ...{ limit: null, holders: [], waiters: [], deadHolders: [] },
  });
});

test("holders, dead holders, and waiters in order, of our programs and of Go's", async () => {
  const prefix = freshPrefix();
  const client = connect();
  const contender = (value: string) => client.semaphoreOpts({ prefix, limit: 2, value });
  const holder = await contender("web-1:11").acquire();
  const other = await contender("").acquire();
  const observer = contender("observer");
  const waits: Promise<unknown>[] = [];
  for (const [index, value] of ["web-2:22", "\u001b[31mred\u0007"].entries()) {
    waits.push(
      contender(value)
        .acquire()
        .catch((error: unknown) => error),
    );
    await eventually(
      () => observer.inspect(),
      ({ waiters }) => waiters.length === index + 1,
    );
  }
  const { value: sessions } = await client.session.list();
  const node = sessions.find(({ id }) => id === holder.session)?.node ?? "";
  const state = await observer.inspect();

  const { code, lines } = await cli(["inspect", prefix]);
  expect(code).toBe(0);
  const cells = lines.slice(1).map((line) => line.trim().split(/ {2,}/));
  const [first, second] = state.waiters;
  expect(lines[0]).toMatch(/: 2 of 2 slots held, 2 waiting \(at index \d+\)$/);
  expect(cells).toEqual([
    ["HOLDERS", "NODE", "SINCE INDEX", "SESSION"],
    ["web-1:11", node, holder.fencingToken.toString(), holder.session],
    ["-", node, other.fencingToken.toString(), other.session],
    ["WAITERS, IN ORDER", "NODE", "SINCE INDEX", "SESSION"],
    ["web-2:22", node, String(first?.createIndex), first?.session],
    // It does not reach the terminal.
    ["[31mred", node, String(second?.createIndex), second?.session],
  ]);

  const json: unknown = JSON.parse((await cli(["inspect", prefix, "--json"])).lines.join(""));
  expect(json).toHaveProperty("at", expect.stringMatching(/^\d{4}-.*Z$/));
  expect(json).toMatchObject({
    ...{ prefix, limit: 2, deadHolders: [] },
    holders: [
      {
        ...{ value: "web-1:11", session: holder.session, node },
        sessionName: "Consul API Semaphore",
        sinceIndex: holder.fencingToken.toString(),
      },
      { value: "", session: other.session },
    ],
    waiters: [{ value: "web-2:22" }, { value: "[31mred" }],
  });
  await client.close();
  expect((await Promise.all(waits)).every((error) => error instanceof Error)).toBe(true);
});

test("a holder whose session has ended is dead", async () => {
  const { prefix, dead, holder } = await crowded();
  const { lines } = await cli(["inspect", prefix]);
  expect(lines[0]).toContain(": 1 of 2 slots held, 1 more by dead holders, 0 waiting");
  expect(lines.slice(-2)).toEqual(["DEAD HOLDERS (SLOTS GO TO THE NEXT WAITERS)", `  ${dead}`]);
  await holder.release();
});

test("a token that may not read sessions sees all but their nodes", async () => {
  const prefix = freshPrefix();
  const slot = await connect().semaphorePrefix(prefix, 1).acquire();
  const proxy = await Proxy.start();
  proxy.decide = ({ path }) => (path.startsWith("/v1/session/list") ? "refuse" : "pass");
  const { code, lines } = await cli(["inspect", prefix, `-http-addr=${proxy.address}`]);
  expect(code).toBe(0);
  const [, value, ...rest] = lines.at(-1)?.split(/ {2,}/) ?? [];
  expect(value).toMatch(/^.+:\d+$/);
  expect(rest).toEqual(["?", slot.fencingToken.toString(), slot.session]);
});

test.each([
  ["is not JSON", "nonsense", /lock decoding failed: the value "nonsense" is not JSON/],
  ["has no number for its limit", '{"Limit":"3"}', /lock decoding failed: the field "Limit"/],
])("a lock entry that %s is refused with 77", async (_, value, problem) => {
  const prefix = freshPrefix();
  const client = connect();
  await client.kv.put({ key: `${prefix}/.lock`, value, flags: SEMAPHORE_FLAG_VALUE });
  const { code, lines } = await cli(["inspect", prefix]);
  expect({ code, count: lines.length }).toEqual({ code: 77, count: 1 });
  expect(lines[0]).toMatch(problem);
  expect(lines[0]).toContain(
    ": use another prefix, or delete its .lock entry if that is nobody else's",
  );
});

test("a lock entry as Go's decoder takes it is understood", async () => {
  const prefix = freshPrefix();
  const value = '{"limit":3,"HOLDERS":null,"more":[]}';
  await connect().kv.put({ key: `${prefix}/.lock`, value, flags: SEMAPHORE_FLAG_VALUE });
  expect((await cli(["inspect", prefix])).lines[0]).toContain(": 0 of 3 slots held, 0 waiting");
  // As Go's first release wrote it.
  await connect().kv.put({ key: `${prefix}/.lock`, value });
  expect((await cli(["inspect", prefix])).lines[0]).toContain(": 0 of 3 slots held, 0 waiting");
});

test("somebody else's key is refused with 77", async () => {
  const prefix = freshPrefix();
  await consul("PUT", `/v1/kv/${prefix}/.lock?flags=3304740253564472344`, "single");
  const { code, lines } = await cli(["inspect", prefix]);
  expect(code).toBe(77);
  expect(lines[0]).toContain(`is used by something other than a semaphore, such as "consul lock"`);
});

test("resize and destroy", async () => {
  const prefix = freshPrefix();
  const sem = connect().semaphoreOpts({ prefix, limit: 2, adoptLimit: true });
  await sem.acquire();
  expect(await cli(["resize", prefix, "5"])).toMatchObject({ code: 0 });
  expect((await sem.inspect()).limit).toBe(5);
  const refused = await cli(["destroy", prefix]);
  expect(refused).toMatchObject({
    code: 77,
    lines: [
      `consul-semaphore: "${prefix}" is in use: its holders have to release first; inspect ${prefix} shows them`,
    ],
  });
  await sem.release();
  for (const deed of ["deleted the", "there was no"]) {
    expect(await cli(["destroy", prefix])).toMatchObject({
      ...{ code: 0, lines: [`${deed} lock entry of "${prefix}"`] },
    });
  }
  expect(await keysBelow(prefix)).toEqual([]);
  const wrong = await cli(["resize", prefix, "0"]);
  expect(wrong).toMatchObject({
    ...{ code: 64, lines: [expect.stringMatching(/semaphore limit must be positive: got 0/)] },
  });
});
