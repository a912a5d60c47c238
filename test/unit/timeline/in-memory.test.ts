// The demo where no real Consul can be had.
import { afterEach, expect, onTestFinished, test, vi } from "vitest";

import { findConsul } from "../../../examples/timeline/find-consul.js";
import { play } from "../../../examples/timeline/play.js";
import { holdsOf } from "../../../examples/timeline/view/slot-usage.js";
import type { Timeline } from "../../../examples/timeline/view/timeline.js";

const startNone = (): Promise<never> => Promise.reject(new Error("Found no Consul"));

afterEach(() => {
  vi.unstubAllEnvs();
});

test("plays with one in memory, and says so", async () => {
  vi.stubEnv("CONSUL_BIN", "");
  vi.stubEnv("CONSUL_IMAGE", undefined);
  const reasons: string[] = [];
  const consul = await findConsul((reason) => reasons.push(reason), startNone);
  onTestFinished(() => consul.stop());
  expect(reasons).toEqual(["Found no Consul"]);
  expect(consul.source).toBe("a Consul in memory, since no real one can be had");

  const interruption = new AbortController();
  let most = 0;
  const view = {
    update: (timeline: Timeline): void => {
      most = Math.max(most, holdsOf(timeline).length);
      if (most >= 3) interruption.abort();
    },
    close: (): void => undefined,
  };
  await play(consul.address, () => view, interruption.signal);
  // A slot was given back, and taken by another.
  expect(most).toBeGreaterThanOrEqual(3);
});

test.each(["CONSUL_BIN", "CONSUL_IMAGE"])(
  "fails where %s names one that is not there",
  async (name) => {
    vi.stubEnv("CONSUL_BIN", "");
    vi.stubEnv("CONSUL_IMAGE", "");
    vi.stubEnv(name, "elsewhere");
    const explain = vi.fn();
    await expect(findConsul(explain, startNone)).rejects.toThrow("Found no Consul");
    expect(explain).not.toHaveBeenCalled();
  },
);
