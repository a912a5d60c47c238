import type { WriteStream } from "node:tty";

import { pictureOf, type PictureSize } from "./picture.js";
import { cut, print, styled, wrap, type StyledLine } from "../../../src/cli/screen/styled-line.js";
import { symbolsFor } from "../../../src/cli/screen/symbols.js";
import type { Timeline } from "./timeline.js";
import type { Story, View } from "./view.js";

// The alternate screen leaves the user's own as it was, and survives a change of size.
const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[2K";
const CLEAR_BELOW = "\u001b[J";

/** Draws the timeline in place, again and again. Closed, it leaves the last picture. */
export class ScreenView implements View {
  readonly #terminal: WriteStream;
  readonly #story: Story;
  readonly #heading: readonly string[];
  readonly #colours: boolean;
  readonly #symbols = symbolsFor(process.env);
  #draw: (size: PictureSize) => StyledLine[] = () => [];
  #open = true;

  constructor(terminal: WriteStream, story: Story, heading: readonly string[]) {
    this.#terminal = terminal;
    this.#story = story;
    this.#heading = heading;
    // Goes by NO_COLOR among others.
    this.#colours = terminal.hasColors();
    // Whatever ends this process, the cursor comes back.
    process.once("exit", this.#restore);
    this.#terminal.write(ENTER);
  }

  update(timeline: Timeline, _news: unknown, now: number): void {
    this.#draw = (size) => pictureOf(timeline, this.#story, now, size, this.#symbols);
    const { columns: width, rows: height } = this.#terminal;
    const heading = [...this.#heading.flatMap((text) => wrap(text, width)), ""].map((line) =>
      cut([styled(line, "faint")], width),
    );
    const whole = [...heading, ...this.#draw({ width, height: Infinity })];
    const shown = whole.length <= height ? whole : this.#draw({ width, height });
    const text = shown.map((line) => CLEAR_LINE + this.#print(line)).join("\r\n");
    this.#terminal.write(HOME + text + CLEAR_BELOW);
  }

  close(): void {
    if (!this.#open) return;
    this.#restore();
    process.off("exit", this.#restore);
    const lines = this.#draw({ width: this.#terminal.columns, height: Infinity });
    this.#terminal.write(["", ...lines.map(this.#print), ""].join("\n"));
  }

  readonly #print = (line: StyledLine): string => print(line, this.#colours);

  readonly #restore = (): void => {
    if (!this.#open) return;
    this.#open = false;
    this.#terminal.write(LEAVE);
  };
}
