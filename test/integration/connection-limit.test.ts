import { expect, onTestFinished, test } from "vitest";

import { ConsulClient } from "../../src/index.js";
import { eventually } from "./fixture.js";
import { startOwnAgent } from "./own-agent.js";

test("50 semaphores wait at an agent that allows each address 10 connections", async () => {
  const WAITERS = 50;
  const agent = await startOwnAgent("limits { http_max_conns_per_client = 10 }", onTestFinished);
  await using client = new ConsulClient({ address: agent.address });
  const occupant = client.semaphorePrefix("crowd", 2);
  await occupant.acquire();
  const other = client.semaphorePrefix("crowd", 2);
  await other.acquire();
  let inside = 0;
  let most = 0;
  const turns = Array.from({ length: WAITERS }, () =>
    client.semaphorePrefix("crowd", 2).run(async (slot) => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setImmediate(resolve));
      expect(slot.held).toBe(true);
      inside -= 1;
    }),
  );
  await eventually(
    async () => (await occupant.inspect()).waiters.length,
    (count) => count === WAITERS,
  );
  await Promise.all([occupant.release(), other.release()]);
  await Promise.all(turns);
  expect(most).toBeLessThanOrEqual(2);
});
