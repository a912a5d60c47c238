import { expect, test } from "vitest";

import { readSessions } from "../../../src/cli/prefix-view.js";
import { Scene } from "../client-of-fake.js";
import { forbidden, leaderless, page, refusing } from "../faults.js";

test("a token that may not read sessions sees none", async () => {
  const scene = new Scene();
  scene.next("list sessions", forbidden);
  expect(await readSessions(scene.client)).toEqual(new Map());
});

// Nodes that are taken for unknown would stay so.
test.each([
  ["an election", leaderless],
  ["an outage", refusing],
  ["a proxy's page", page()],
])("%s is not taken for that", async (_, fault) => {
  const scene = new Scene();
  scene.next("list sessions", fault);
  await expect(readSessions(scene.client)).rejects.toMatchObject({ name: "ConsulError" });
});
