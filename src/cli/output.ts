/** Writes a line for whoever reads the output. */
export function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Writes a line for whoever wonders what went wrong. */
export function complain(line: string): void {
  process.stderr.write(`consul-semaphore: ${line}\n`);
}
