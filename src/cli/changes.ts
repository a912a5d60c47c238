import type { Member, PrefixView } from "./prefix-view.js";

/** What a session did between two readings of a prefix, or was doing at the first. */
export interface Change {
  readonly session: string;
  readonly type: "waits" | "acquires" | "releases" | "loses" | "dies" | "is freed" | "leaves";
}

type State = "waiting" | "holding" | "dead";

/** What a session is doing. */
export interface Standing {
  readonly state: State;
  readonly index: bigint;
}

/** In an order in which they can have happened: who leaves comes before who takes the slot. */
export function changesBetween(before: PrefixView | undefined, after: PrefixView): Change[] {
  const [old, current] = [standingsIn(before), standingsIn(after)];
  const gone = [...old.keys()].filter((session) => !current.has(session));
  return [
    ...gone.map((session) => ({ session, type: endOf(old.get(session)?.state) })),
    ...[...current].flatMap(([session, standing]) =>
      changesTo(standing, old.get(session)).map((type) => ({ session, type })),
    ),
  ];
}

export function standingsIn(view: PrefixView | undefined): ReadonlyMap<string, Standing> {
  if (view === undefined) return new Map();
  const all = (members: readonly Omit<Member, "value">[], state: State) =>
    members.map(({ session, index }) => [session, { state, index }] as const);
  const dead = view.dead.map((session) => ({ session, index: 0n }));
  return new Map([
    ...all(dead, "dead"),
    ...all(view.holders, "holding"),
    ...all(view.waiters, "waiting"),
  ]);
}

function endOf(state: State | undefined): Change["type"] {
  if (state === "dead") return "is freed";
  return state === "holding" ? "releases" : "leaves";
}

function changesTo(current: Standing, old: Standing | undefined): Change["type"][] {
  const isSame = old?.state === current.state;
  switch (current.state) {
    case "dead":
      return isSame ? [] : ["dies"];
    case "waiting":
      if (isSame) return [];
      return old?.state === "holding" ? ["loses", "waits"] : ["waits"];
    case "holding":
      if (!isSame) return ["acquires"];
      // One more turn, of which only the end and the beginning were missed.
      return old.index === current.index ? [] : ["releases", "acquires"];
  }
}
