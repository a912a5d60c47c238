// What `consul lock` runs while it holds: prints the interval, and where a file is named, stays
// until that is gone. Plain JavaScript, since it is started for each turn.
import { existsSync } from "node:fs";
import { argv, hrtime, stdout } from "node:process";
import { setTimeout } from "node:timers/promises";

const entered = hrtime.bigint();
const [holdMs, file] = argv.slice(2);
stdout.write("inside\n");
await setTimeout(Number(holdMs));
while (file !== undefined && existsSync(file)) await setTimeout(20);
stdout.write(`go ${entered} ${hrtime.bigint()}\n`);
