import { createProgramSession, enterQueue } from "./program-session.js";
import type { World } from "./world.js";

/**
 * Programs that hang in the queue: something renews their sessions still, but nobody acts for their
 * entries any more.
 */
export class HangingWaiters {
  readonly #world: World;
  readonly #sessions: string[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  start(): void {
    const { time, scenario } = this.#world;
    for (const [index, from] of scenario.hangsFrom.entries()) {
      time.after(from, () => {
        this.#enter(`hung.${index}`);
      });
    }
  }

  /** Somebody ends them at last. */
  end(): void {
    for (const session of this.#sessions) this.#world.consul.destroySession(session);
  }

  #enter(user: string): void {
    const { consul, tally, trace } = this.#world;
    const session = createProgramSession(consul, user, null);
    if (session === "") return;
    this.#sessions.push(session);
    enterQueue(consul, session, user);
    trace.add(user, `hangs in the queue with ${session}`);
    tally.add("fault hang");
  }
}
