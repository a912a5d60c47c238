import type { PrefixView } from "./prefix-view.js";
import type { Sessions } from "./table.js";

/** How `watch` shows what it sees. */
export interface WatchView {
  update(view: PrefixView, sessions: Sessions): void;
  /** Consul cannot be asked for a while. */
  outage(problem: string): void;
  /** Ends the show, and leaves what is worth keeping. */
  close(): void;
}
