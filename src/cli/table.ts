import type { SessionEntry } from "consul-semaphore";

import type { Member, PrefixView } from "./prefix-view.js";
import { printable } from "./printable.js";

/** What is known of sessions, by their IDs. */
export type Sessions = ReadonlyMap<string, SessionEntry | undefined>;

/** In one line: how many hold, and how many wait. */
export function summaryOf(prefix: string, { limit, holders, waiters, dead }: PrefixView): string {
  const shown = printable(prefix);
  if (limit === undefined && waiters.length === 0) return `${shown}: nobody uses this prefix`;
  const ofDead = dead.length === 0 ? "" : `, ${dead.length} more by dead holders`;
  return `${shown}: ${holders.length} of ${limit ?? "?"} slots held${ofDead}, ${waiters.length} waiting`;
}

export function nodeOf(session: string, sessions: Sessions): string {
  return printable(sessions.get(session)?.node ?? "?");
}

/** Holders and waiters, in columns; `since` has the name of one of them, and what is in it. */
export function tableOf(
  { holders, waiters, dead }: PrefixView,
  sessions: Sessions,
  since: readonly [title: string, of: (member: Member) => string],
): string[] {
  const [title, sinceOf] = since;
  const rowsOf = (heading: string, members: readonly Member[]): string[][] => [
    ...(members.length > 0 ? [[heading, "NODE", title, "SESSION"]] : []),
    ...members.map((member) => {
      const { value, session } = member;
      return [`  ${value || "-"}`, nodeOf(session, sessions), sinceOf(member), session];
    }),
  ];
  const rows = [...rowsOf("HOLDERS", holders), ...rowsOf("WAITERS, IN ORDER", waiters)];
  const widths = [0, 1, 2].map((column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return [
    ...rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")),
    ...(dead.length > 0 ? ["DEAD HOLDERS (SLOTS GO TO THE NEXT WAITERS)"] : []),
    ...dead.map((session) => `  ${session}`),
  ];
}
