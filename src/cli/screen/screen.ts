import type { WriteStream } from "node:tty";

import { cut, print, type StyledLine } from "./styled-line.js";

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** What is on the screen, in lines that fit. */
export type Picture = (size: Size) => readonly StyledLine[];

// The alternate screen leaves the user's own as it was, and survives a change of size.
const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[2K";
const CLEAR_BELOW = "\u001b[J";

/** Whether pictures can be drawn there, one over the other. */
export function isDrawable(terminal: WriteStream): boolean {
  return terminal.isTTY && process.env["TERM"] !== "dumb";
}

/** A terminal on which one picture is drawn over the other. */
export class Screen {
  readonly #terminal: WriteStream;
  readonly #colours: boolean;
  #open = true;

  constructor(terminal: WriteStream) {
    this.#terminal = terminal;
    // Goes by NO_COLOR among others.
    this.#colours = terminal.hasColors();
    // Whatever ends this process, the cursor comes back.
    process.once("exit", this.#restore);
    this.#terminal.write(ENTER);
  }

  draw(picture: Picture): void {
    const { columns: width, rows: height } = this.#terminal;
    const lines = picture({ width, height }).slice(0, height);
    const text = lines.map((line) => CLEAR_LINE + print(cut(line, width), this.#colours));
    this.#terminal.write(HOME + text.join("\r\n") + CLEAR_BELOW);
  }

  /** Gives the terminal back, with a last picture that stays. May be called again. */
  close(last: Picture): void {
    if (!this.#open) return;
    this.#restore();
    process.off("exit", this.#restore);
    const { columns: width } = this.#terminal;
    const lines = last({ width, height: Infinity });
    const text = lines.map((line) => print(cut(line, width), this.#colours));
    this.#terminal.write(["", ...text, ""].join("\n"));
  }

  readonly #restore = (): void => {
    if (!this.#open) return;
    this.#open = false;
    this.#terminal.write(LEAVE);
  };
}
