/** Stands still for a time, as code does that computes without a pause; and takes no CPU for it. */
export function blockEventLoop(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
