/** What a cell of the chart shows. */
export type Mark =
  | "resting"
  | "waiting"
  | "holding"
  | "silent"
  | "signalled"
  | "killed"
  | "abandoned"
  | "successor"
  | "gone";

/** The characters that a chart is drawn with, each one column wide. */
export interface Symbols {
  readonly tick: string;
  readonly cells: Readonly<Record<Mark, string>>;
}

export const UNICODE: Symbols = {
  tick: "│",
  cells: {
    resting: " ",
    waiting: "░",
    // Not quite as high as the line, so that two rows don't run into one another.
    holding: "▇",
    silent: "≈",
    signalled: "!",
    killed: "✗",
    abandoned: "▒",
    successor: "»",
    gone: "·",
  },
};

export const ASCII: Symbols = {
  tick: "|",
  cells: {
    resting: " ",
    waiting: "-",
    holding: "#",
    silent: "~",
    signalled: "!",
    killed: "X",
    abandoned: "=",
    successor: ">",
    gone: ".",
  },
};

/** What a terminal can show, by its locale. The Linux console knows UTF-8, but has too few glyphs. */
export function symbolsFor(env: NodeJS.ProcessEnv, platform = process.platform): Symbols {
  const locale = ["LC_ALL", "LC_CTYPE", "LANG"].map((name) => env[name]).find(Boolean);
  const isUtf8 = platform === "win32" || /utf-?8/i.test(locale ?? "");
  return isUtf8 && env["TERM"] !== "linux" ? UNICODE : ASCII;
}
