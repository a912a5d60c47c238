import type { WriteStream } from "node:tty";

import { Screen, type Picture } from "../../../src/cli/screen/screen.js";
import { styled, wrap } from "../../../src/cli/screen/styled-line.js";
import { symbolsFor } from "../../../src/cli/screen/symbols.js";
import { pictureOf } from "./picture.js";
import type { Timeline } from "./timeline.js";
import type { Story, View } from "./view.js";

/** Draws the timeline in place, again and again. Closed, it leaves the last picture. */
export class ScreenView implements View {
  readonly #screen: Screen;
  readonly #story: Story;
  readonly #heading: readonly string[];
  readonly #symbols = symbolsFor(process.env);
  #picture: Picture = () => [];

  constructor(terminal: WriteStream, story: Story, heading: readonly string[]) {
    this.#screen = new Screen(terminal);
    this.#story = story;
    this.#heading = heading;
  }

  update(timeline: Timeline, _news: unknown, now: number): void {
    this.#picture = (size) => pictureOf(timeline, this.#story, now, size, this.#symbols);
    this.#screen.draw(({ width, height }) => {
      const heading = [...this.#heading.flatMap((text) => wrap(text, width)), ""];
      const whole = [
        ...heading.map((line) => [styled(line, "faint")]),
        ...this.#picture({ width, height: Infinity }),
      ];
      return whole.length <= height ? whole : this.#picture({ width, height });
    });
  }

  close(): void {
    this.#screen.close(this.#picture);
  }
}
