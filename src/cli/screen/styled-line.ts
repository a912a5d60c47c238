/** What a piece of text stands for; colours follow from it. */
export type Tone = "plain" | "strong" | "faint" | "holding" | "waiting" | "alarm";

export interface StyledText {
  readonly text: string;
  readonly tone: Tone;
}

/** A line of the screen before it is turned into what a terminal takes. */
export type StyledLine = readonly StyledText[];

const SGR: Readonly<Record<Tone, string>> = {
  plain: "0",
  strong: "1",
  faint: "90",
  holding: "32",
  waiting: "33",
  alarm: "31",
};

export function styled(text: string, tone: Tone = "plain"): StyledText {
  return { text, tone };
}

/** The line without what is beyond the width: a line that wraps would break the picture. */
export function cut(line: StyledLine, width: number): StyledLine {
  let left = width;
  return line.flatMap(({ text, tone }) => {
    const kept = text.slice(0, left);
    left -= kept.length;
    return kept === "" ? [] : [{ text: kept, tone }];
  });
}

/** Breaks a text between words. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1) ?? ""} ${word}`;
    if (lines.length > 0 && longer.length <= width) lines.splice(-1, 1, longer);
    else lines.push(word);
  }
  return lines;
}

/** Puts pieces side by side, in as many lines as they need. */
export function flow(pieces: readonly StyledLine[], width: number): StyledLine[] {
  const lines: StyledLine[] = [];
  for (const piece of pieces) {
    const last = lines.at(-1) ?? [];
    if (last.length > 0 && lengthOf(last) + lengthOf(piece) <= width) {
      lines.splice(-1, 1, [...last, ...piece]);
    } else {
      lines.push(piece);
    }
  }
  return lines;
}

function lengthOf(line: StyledLine): number {
  return line.reduce((sum, { text }) => sum + text.length, 0);
}

export function print(line: StyledLine, colours: boolean): string {
  return line
    .map(({ text, tone }) =>
      colours && tone !== "plain" ? `\u001b[${SGR[tone]}m${text}\u001b[0m` : text,
    )
    .join("");
}
