// What `consul lock` runs while it holds: stays for a time, and prints the interval at the end of
// it, or at the moment when `consul lock` wants it gone since the lock is lost. Plain JavaScript,
// since it is started for each turn.
import process, { argv, hrtime, stdout } from "node:process";
import { setTimeout } from "node:timers";

const entered = hrtime.bigint();

function leave() {
  stdout.write(`go ${entered} ${hrtime.bigint()}\n`, () => process.exit(0));
}

process.once("SIGTERM", leave).once("SIGINT", leave);
setTimeout(leave, Number(argv[2]));
