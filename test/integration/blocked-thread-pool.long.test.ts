// A held slot needs no thread of libuv's pool, which a hung mount or slow lookups of names may block.
import { expect, test } from "vitest";

import { freshPrefix } from "./fixture.js";
import { runProcess } from "./process-run.js";
import { Proxy } from "./proxy.js";

/** More than three times the TTL of the program. */
const HOLD_MS = 35_000;

test.concurrent.for([
  ["that stay", Infinity],
  ["that are cut now and then", 6_000],
] as const)(
  "a slot outlives a blocked thread pool, with a host name and connections %s",
  { timeout: 3 * HOLD_MS },
  async ([, cutMs], context) => {
    const proxy = await Proxy.start(context);
    const { port } = new URL(proxy.address);
    const cutting =
      cutMs === Infinity
        ? undefined
        : setInterval(() => {
            proxy.cut();
          }, cutMs);
    const args = [`http://localhost:${port}`, freshPrefix(context), String(HOLD_MS)];
    const run = await runProcess("blocks-thread-pool", args, 2 * HOLD_MS);
    clearInterval(cutting);
    expect(run).toMatchObject({ code: 0, errorOutput: "" });
    expect(JSON.parse(run.output)).toEqual({ isLookedUp: false });
  },
);
