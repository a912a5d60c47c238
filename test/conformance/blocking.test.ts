import { expect, test, vi } from "vitest";

import { conform, freshPrefix, indexOf, type Answer } from "./consul-under-test.js";

const NEVER = 2n ** 62n;
const NO_SESSION = "adf4238a-882b-9ddc-4a9d-5b6758e4159e";

conform((consul) => {
  const get = (path: string): Promise<Answer> => consul.send("GET", `/v1/${path}`);
  const put = (path: string, body = ""): Promise<Answer> => consul.send("PUT", `/v1/${path}`, body);
  const remove = (path: string): Promise<Answer> => consul.send("DELETE", `/v1/${path}`);
  const waitOn = (path: string, index: bigint, wait = "5m"): Promise<Answer> =>
    get(`${path}${path.includes("?") ? "&" : "?"}index=${index}&wait=${wait}`);

  test("answers at once where the index is smaller than the current one", async () => {
    const path = `kv/${freshPrefix()}`;
    await put(path, "1");
    const first = indexOf(await get(path));
    await put(path, "2");
    const answer = await waitOn(path, first);
    expect(indexOf(answer)).toBeGreaterThan(first);
    expect(answer.body).toContain('"Value":"Mg=="');
  });

  test("an index of 0 asks for an answer at once", async () => {
    expect((await waitOn(`kv/${freshPrefix()}`, 0n)).status).toBe(404);
  });

  test.each([
    ["", "100ms"],
    ["?recurse", "100ms"],
    ["?keys&consistent", "0.1s"],
  ])("at the end of its wait answers the same (%s, %s)", async (query, wait) => {
    const path = `kv/${freshPrefix()}`;
    await put(path);
    const before = await get(path + query);
    const startedAt = performance.now();
    const after = await waitOn(path + query, indexOf(before), wait);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(100);
    expect(after.body).toBe(before.body);
    expect(indexOf(after)).toBe(indexOf(before));
  });

  test("an index that is to come waits as well", async () => {
    const path = `kv/${freshPrefix()}`;
    await put(path);
    const startedAt = performance.now();
    const answer = await waitOn(path, NEVER, "100ms");
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(100);
    expect(indexOf(answer)).toBe(indexOf(await get(path)));
  });

  test("what changes below the index asked for is shown at the end of the wait", async () => {
    const path = `kv/${freshPrefix()}`;
    let round = 0;
    // The change may come only when the wait is over.
    await vi.waitFor(
      async () => {
        round += 1;
        const waiting = waitOn(path, NEVER, "500ms");
        await put(path, `${round}`);
        expect((await waiting).body).toContain(`"Value":"${btoa(`${round}`)}"`);
      },
      { timeout: 30_000, interval: 1 },
    );
  });

  test.each([
    ["is written", (key: string) => put(key, "2"), 200],
    ["is deleted", (key: string) => remove(key), 404],
    ["is deleted with its prefix", (key: string) => remove(`${key.slice(0, -2)}?recurse`), 404],
  ])("a wait on a key ends when it %s", async (_title, change, status) => {
    const key = `kv/${freshPrefix()}/k`;
    await put(key, "1");
    const index = indexOf(await get(key));
    const waiting = waitOn(key, index);
    await change(key);
    const answer = await waiting;
    expect(answer.status).toBe(status);
    expect(indexOf(answer)).toBeGreaterThan(index);
    expect(indexOf(answer)).toBe(indexOf(await get(key)));
  });

  test("a wait on a prefix ends when a key below it comes, changes or goes", async () => {
    const prefix = `kv/${freshPrefix()}`;
    const list = `${prefix}/?recurse`;
    await put(`${prefix}/a`, "1");
    for (const change of [
      () => put(`${prefix}/b`, "1"),
      () => put(`${prefix}/a`, "2"),
      () => remove(`${prefix}/a`),
      () => remove(`${prefix}/b`),
    ]) {
      const index = indexOf(await get(list));
      const waiting = waitOn(list, index);
      await change();
      expect(indexOf(await waiting)).toBeGreaterThan(index);
    }
  });

  test("a wait ends when a session is invalidated that has the lock", async () => {
    const prefix = `kv/${freshPrefix()}`;
    for (const Behavior of ["release", "delete"]) {
      const session = await consul.session({ Behavior });
      await put(`${prefix}/a?acquire=${session}`);
      const index = indexOf(await get(`${prefix}/?recurse`));
      const waiting = waitOn(`${prefix}/?recurse`, index);
      await put(`session/destroy/${session}`);
      expect((await waiting).body).not.toContain(session);
      expect(indexOf(await waiting)).toBeGreaterThan(index);
    }
  });

  test("a write that changes nothing, or of another prefix, wakes nobody who sees entries", async () => {
    const prefix = `kv/${freshPrefix()}`;
    await put(`${prefix}/a`, "1");
    const index = indexOf(await get(`${prefix}/?recurse`));
    const waiting = waitOn(`${prefix}/?recurse`, index);
    await put(`${prefix}/a`, "1");
    await put(`${prefix}2`, "1");
    await put(prefix.slice(0, -1), "1");
    await put(`${prefix}/b`, "1");
    expect((await waiting).body).toContain(`${prefix.slice(3)}/b`);
  });

  test("the index of a list is the greatest of its entries and of what was deleted there", async () => {
    const prefix = `kv/${freshPrefix()}`;
    const list = (): Promise<bigint> => get(`${prefix}/?recurse`).then(indexOf);
    await put(`${prefix}/a`);
    const first = await list();
    expect(first).toBe(indexOf(await get(`${prefix}/a`)));
    await put(`${prefix}-other`);
    expect(await list()).toBe(first);
    await put(`${prefix}/b`);
    const second = await list();
    expect(second).toBeGreaterThan(first);
    await remove(`${prefix}/b`);
    const third = await list();
    expect(third).toBeGreaterThan(second);
    await put(`${prefix}-other`, "2");
    await remove(`${prefix}/a`);
    const fourth = await list();
    expect(fourth).toBeGreaterThan(third);
    await put(`${prefix}-other`, "3");
    // A tombstone stands for the prefix also where nothing is left of it.
    expect(await list()).toBe(fourth);
  });

  test("the index of nothing, with no tombstone, is that of the last write anywhere", async () => {
    const prefix = `kv/${freshPrefix()}`;
    for (const path of [`${prefix}/none`, `${prefix}/none/?recurse`]) {
      const before = indexOf(await get(path));
      await put(`kv/${freshPrefix()}`);
      expect(indexOf(await get(path))).toBeGreaterThan(before);
    }
  });

  test("one tombstone stands for a prefix, and not for those below it", async () => {
    const prefix = `kv/${freshPrefix()}`;
    await put(`${prefix}/a/b`);
    await remove(`${prefix}/?recurse`);
    const [above, below] = [`${prefix}/?recurse`, `${prefix}/a/?recurse`];
    const index = indexOf(await get(above));
    await put(`kv/${freshPrefix()}`);
    expect(indexOf(await get(above))).toBe(index);
    expect(indexOf(await get(below))).toBeGreaterThan(index);
  });

  test("the index of everything is that of the last write, also after a delete of everything", async () => {
    const key = `kv/${freshPrefix()}`;
    await put(key);
    expect(indexOf(await get("kv/?recurse"))).toBe(indexOf(await get(key)));
    const before = indexOf(await get("kv/?recurse"));
    await remove(key);
    expect(indexOf(await get("kv/?recurse"))).toBeGreaterThan(before);
  });

  // Consul keeps keys in a radix tree and watches the last node on the way to what is missing.
  test.each([
    ["a sibling under the node comes", ["x/a", "x/b"], "x/c", "put", "x/d"],
    ["a key splits the edge", ["x/abc"], "x/axx", "put", "x/ay"],
    ["a key comes that begins like it", ["x/abc"], "x/a", "put", "x/zz"],
    ["a neighbour goes", ["x/a", "x/b"], "x/c", "delete", "x/b"],
    ["nodes become one", ["x/abc", "x/axx", "x/b"], "x/abd", "delete", "x/axx"],
  ])("a wait on a missing key ends when %s", async (_title, keys, missing, verb, changed) => {
    const prefix = `kv/${freshPrefix()}/`;
    for (const key of keys) await put(prefix + key);
    for (const path of [prefix + missing, `${prefix}${missing}?recurse`]) {
      // Only the last of both leaves no entry below the prefix for the list.
      if (path.includes("recurse") && keys.some((key) => key.startsWith(missing))) continue;
      const index = indexOf(await get(path));
      const waiting = waitOn(path, index);
      const change = verb === "put" ? put : remove;
      await change(prefix + changed, path);
      const answer = await waiting;
      expect(answer.status).toBe(404);
      expect(indexOf(answer)).toBeGreaterThan(index);
      if (verb === "delete") await put(prefix + changed);
    }
  });

  test.each([
    ["under another edge", ["x/a/1", "x/a/2", "x/b"], "x/a/3", "x/c"],
    ["beside its edge", ["x/abc", "x/b"], "x/axx", "x/c"],
    ["far away", ["x/a/1", "x/a/2"], "x/a/3", "y"],
  ])("a wait on a missing key sees no change %s", async (_title, keys, missing, changed) => {
    const prefix = `kv/${freshPrefix()}/`;
    await put(`${prefix}y`);
    for (const key of keys) await put(prefix + key);
    let round = 0;
    // Whether the query has come before the change cannot be told, but by what it has not seen.
    await vi.waitFor(
      async () => {
        round += 1;
        const before = indexOf(await get(prefix + missing));
        const waiting = waitOn(prefix + missing, NEVER, "1s");
        await get(prefix);
        await get(prefix);
        await put(prefix + changed, `${round}`);
        expect(indexOf(await waiting)).toBe(before);
        expect(indexOf(await get(prefix + missing))).toBeGreaterThan(before);
      },
      { timeout: 30_000, interval: 1 },
    );
  });

  test("a wait on a session ends with it, and a renewal does not end it", async () => {
    const id = await consul.session({ TTL: "60s" });
    const index = indexOf(await get(`session/info/${id}`));
    const waiting = waitOn(`session/info/${id}`, index);
    await put(`session/renew/${id}`);
    await put(`session/destroy/${id}`);
    const answer = await waiting;
    expect(answer.body).toBe("[]");
    expect(indexOf(answer)).toBeGreaterThan(index);
  });

  test("a wait on all sessions ends with each that comes or goes", async () => {
    const index = indexOf(await get("session/list"));
    const coming = waitOn("session/list", index);
    const id = await consul.session();
    expect((await coming).body).toContain(id);
    const going = waitOn("session/list", indexOf(await coming));
    await put(`session/destroy/${id}`);
    expect((await going).body).not.toContain(id);
  });

  test("a wait on no session has an end", async () => {
    const before = await get(`session/info/${NO_SESSION}`);
    const answer = await waitOn(`session/info/${NO_SESSION}`, indexOf(before), "50ms");
    expect(answer.body).toBe("[]");
    expect(indexOf(answer)).toBe(indexOf(before));
  });
});
