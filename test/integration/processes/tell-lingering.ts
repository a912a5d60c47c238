// Loaded before the program: tells, over a pipe of its own, how long the process lived on after its
// last output. Whoever listens from outside would count the time that a busy machine takes as well.
import { writeSync } from "node:fs";

const LINGERING_PIPE = 3;

let doneAt = performance.now();
const write = process.stdout.write.bind(process.stdout);
process.stdout.write = (chunk: string | Uint8Array) => {
  doneAt = performance.now();
  return write(chunk);
};
process.once("exit", () => writeSync(LINGERING_PIPE, String(performance.now() - doneAt)));
