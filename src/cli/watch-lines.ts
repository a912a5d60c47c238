import { changesBetween, type Change } from "./changes.js";
import { tell } from "./output.js";
import type { PrefixView } from "./prefix-view.js";
import { nodeOf, summaryOf, type Sessions } from "./table.js";
import type { WatchView } from "./watch-view.js";

const WORDS: Readonly<Record<Change["type"], string>> = {
  waits: "waits for a slot",
  acquires: "holds a slot",
  releases: "has given its slot back",
  loses: "has been removed from the holders",
  dies: "is dead; its slot goes to the next waiter",
  "is freed": "is no longer among the holders",
  leaves: "has stopped waiting",
};

/** Tells what happens at a prefix, line by line, for a file or a pipe. */
export class WatchLines implements WatchView {
  readonly #prefix: string;
  /** The values of the sessions in the last view. */
  #values: ReadonlyMap<string, string> = new Map();
  #view: PrefixView | undefined;
  #isOut = false;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  update(view: PrefixView, sessions: Sessions): void {
    if (this.#isOut) this.#line("Consul answers again");
    this.#isOut = false;
    const before = this.#view;
    if (before === undefined) this.#line(summaryOf(this.#prefix, view));
    else if (before.limit !== view.limit) this.#line(`the limit is ${view.limit ?? "deleted"}`);
    const members = [...view.holders, ...view.waiters];
    const values = new Map(members.map(({ session, value }) => [session, value]));
    const held = `${view.holders.length} of ${view.limit ?? "?"} held, ${view.waiters.length} waiting`;
    for (const { session, type } of changesBetween(before, view)) {
      const value = values.get(session) ?? this.#values.get(session) ?? "";
      const node = sessions.has(session) ? ` on ${nodeOf(session, sessions)}` : "";
      const who = `${value === "" ? "" : `${value}, `}session ${session}${node}`;
      this.#line(`${who}: ${WORDS[type]} (${held})`);
    }
    // Of the dead, only the session is still there.
    for (const session of view.dead) values.set(session, this.#values.get(session) ?? "");
    this.#values = values;
    this.#view = view;
  }

  outage(problem: string): void {
    if (!this.#isOut) this.#line(`${problem}; trying again`);
    this.#isOut = true;
  }

  close(): void {
    // Nothing to put back.
  }

  #line(text: string): void {
    tell(`${new Date().toISOString()} ${text}`);
  }
}
