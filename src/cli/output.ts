/** Writes a line of the result. */
export function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Writes a line about what went wrong. */
export function complain(line: string): void {
  process.stderr.write(`consul-semaphore: ${line}\n`);
}
