/** Reads one direction of an HTTP/1.1 connection as it passes, and tells the start of each request. */
export class RequestStream {
  readonly #onRequest: (method: string, target: string) => void;
  #buffer: Buffer = Buffer.alloc(0);
  #bodyLeft = 0;

  constructor(onRequest: (method: string, target: string) => void) {
    this.#onRequest = onRequest;
  }

  push(chunk: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
    for (;;) {
      const skipped = Math.min(this.#bodyLeft, this.#buffer.length);
      this.#buffer = this.#buffer.subarray(skipped);
      this.#bodyLeft -= skipped;
      const end = this.#buffer.indexOf("\r\n\r\n");
      if (this.#bodyLeft > 0 || end === -1) return;
      this.#readHead(this.#buffer.toString("latin1", 0, end));
      this.#buffer = this.#buffer.subarray(end + 4);
    }
  }

  #readHead(head: string): void {
    const [, method, target] = /^([A-Z]+) (\S+) HTTP\/1\.1$/m.exec(head) ?? [];
    // Neither client sends a body whose length it does not know beforehand.
    if (method === undefined || target === undefined || /^transfer-encoding:/im.test(head)) {
      throw new Error(`can't count what begins with ${JSON.stringify(head.slice(0, 200))}`);
    }
    this.#bodyLeft = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    this.#onRequest(method, target);
  }
}
