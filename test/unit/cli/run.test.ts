import { expect, test } from "vitest";

import { parseCommandLine } from "../../../src/cli/arguments.js";
import { run } from "../../../src/cli/run.js";
import { Scene } from "../client-of-fake.js";

test.each(["grace", "timeout", "ttl"])(
  "--%s without a time is refused before anything is sent",
  async (option) => {
    const scene = new Scene();
    const order = parseCommandLine(["run", "jobs", "-n", "1", `--${option}=`, "--", "true"]);
    if (order.kind !== "command") throw new Error(`it is ${order.kind}`);
    await expect(run(scene.client, order)).rejects.toThrow(
      `invalid --${option} "": expected a time such as 1m30s`,
    );
    expect(scene.sent).toEqual([]);
  },
);
