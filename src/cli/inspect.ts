import type { ConsulClient } from "consul-semaphore";

import type { Task } from "./arguments.js";
import { tell } from "./output.js";
import { readPrefix, readSessions, type Member, type PrefixView } from "./prefix-view.js";
import { summaryOf, tableOf, type Sessions } from "./table.js";

/** Shows the holders and the waiters of a prefix. */
export async function inspect(consul: ConsulClient, { prefix, values }: Task): Promise<number> {
  const view = await readPrefix(consul, prefix);
  const at = new Date().toISOString();
  const sessions = await readSessions(consul);
  if (values.json === true) {
    tell(JSON.stringify({ prefix, ...inJson(view, sessions), at }, undefined, 2));
    return 0;
  }
  tell(`${summaryOf(prefix, view)} (at index ${view.index})`);
  for (const line of tableOf(view, sessions, ["SINCE INDEX", ({ index }) => `${index}`]))
    tell(line);
  return 0;
}

function inJson(view: PrefixView, sessions: Sessions): object {
  const shown = ({ session, value, index }: Member): object => {
    const { node = null, name = null } = sessions.get(session) ?? {};
    return { session, value, node, sessionName: name, sinceIndex: `${index}` };
  };
  return {
    limit: view.limit ?? null,
    holders: view.holders.map(shown),
    waiters: view.waiters.map(shown),
    deadHolders: view.dead,
    index: `${view.index}`,
  };
}
