import type { ConsulClient, SessionEntry } from "consul-semaphore";

import { tell } from "./output.js";
import { readPrefix, readSessions, type Member, type PrefixView } from "./prefix-view.js";
import { printable } from "./printable.js";
import type { Task } from "./task.js";

type Sessions = ReadonlyMap<string, SessionEntry>;

/** Shows who holds the slots of a prefix, and who waits for one. */
export async function inspect(consul: ConsulClient, { prefix, values }: Task): Promise<number> {
  const view = await readPrefix(consul, prefix);
  const at = new Date();
  const sessions = await readSessions(consul);
  if (values.json === true) tell(JSON.stringify(inJson(prefix, view, sessions, at), undefined, 2));
  else for (const line of inLines(prefix, view, sessions)) tell(line);
  return 0;
}

/** In one line: how many hold, and how many wait. */
export function summaryOf(prefix: string, { limit, holders, waiters, dead }: PrefixView): string {
  const shown = printable(prefix);
  if (limit === undefined && waiters.length === 0) return `${shown}: nobody uses this prefix`;
  const ofDead = dead.length === 0 ? "" : ` and ${dead.length} by the dead`;
  return `${shown}: ${holders.length} of ${limit ?? "?"} slots held${ofDead}, ${waiters.length} waiting`;
}

function inLines(prefix: string, view: PrefixView, sessions: Sessions): string[] {
  const { holders, waiters, dead } = view;
  const rowOf = ({ value, index, session }: Member): string[] => [
    `  ${value === "" ? "-" : value}`,
    printable(sessions.get(session)?.node ?? "?"),
    index.toString(),
    session,
  ];
  const rows = [
    ...(holders.length > 0 ? [["HOLDERS", "NODE", "SINCE INDEX", "SESSION"]] : []),
    ...holders.map(rowOf),
    ...(waiters.length > 0 ? [["WAITERS, IN ORDER", "NODE", "SINCE INDEX", "SESSION"]] : []),
    ...waiters.map(rowOf),
  ];
  return [
    `${summaryOf(prefix, view)} (at index ${view.index})`,
    ...inColumns(rows),
    ...(dead.length > 0 ? ["DEAD HOLDERS, WHOSE SLOTS GO TO WHO COMES NEXT"] : []),
    ...dead.map((session) => `  ${session}`),
  ];
}

function inColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = [0, 1, 2].map((column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
}

function inJson(prefix: string, view: PrefixView, sessions: Sessions, at: Date): object {
  const shown = ({ session, value, index }: Member): object => {
    const { node = null, name = null } = sessions.get(session) ?? {};
    return { session, value, node, sessionName: name, sinceIndex: index.toString() };
  };
  return {
    prefix,
    limit: view.limit ?? null,
    holders: view.holders.map(shown),
    waiters: view.waiters.map(shown),
    deadHolders: view.dead,
    index: view.index.toString(),
    at: at.toISOString(),
  };
}
