import { readFileSync } from "node:fs";

/** A block of TypeScript in a comment or in a Markdown file. */
export interface Example {
  readonly file: string;
  /** The number of its first line in the file. */
  readonly line: number;
  readonly text: string;
}

const BEGINS = /^(\s*(?:\* )?)```ts$/;

/** All blocks between ```` ```ts ```` and ```` ``` ````, in Markdown or in TSDoc. */
export function examplesIn(file: string): readonly Example[] {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.flatMap((opening, index) => {
    const margin = BEGINS.exec(opening)?.[1];
    if (margin === undefined) return [];
    const after = lines.slice(index + 1);
    const end = after.indexOf(`${margin}\`\`\``);
    // An empty line of a comment has no space behind its asterisk.
    const text = after
      .slice(0, end === -1 ? undefined : end)
      .map((line) => line.slice(margin.length))
      .join("\n");
    return [{ file, line: index + 2, text }];
  });
}
