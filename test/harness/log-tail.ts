import type { Readable } from "node:stream";

/** The last lines of a log, kept in memory for the message of a failed start. */
export class LogTail {
  readonly #lines: string[] = [];

  constructor(readonly limit = 20) {}

  follow(stream: Readable): void {
    let rest = "";
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      this.#lines.push(...lines);
      this.#lines.splice(0, this.#lines.length - this.limit);
    });
  }

  toString(): string {
    return this.#lines.length === 0
      ? "It logged nothing."
      : `Its last log lines:\n${this.#lines.join("\n")}`;
  }
}
