import { abandonedSlots } from "./view/slot-usage.js";
import { silencesOf, spanAt, type Lane, type Timeline } from "./view/timeline.js";

/** What befalls a worker. One that lingers works on, in this turn or the next, until its slot is lost. */
export type Act = "lingers" | "goes silent" | "is back" | "is killed";

interface Step {
  readonly act: Act;
  /** Whom it befalls, as soon as there is somebody. `lingering` is who was last made to linger. */
  readonly worker: (timeline: Timeline, now: number, lingering: string) => string | undefined;
}

/** By then everybody has had a turn or is in line. */
const BEGIN_MS = 2_500;

/** How long it takes people to see what goes on. */
const SEEN_AFTER_MS = 600;

/** One worker's network goes silent, and then another worker is killed, both while they hold. */
const PLOT: readonly Step[] = [
  {
    act: "lingers",
    worker: (timeline, now) => (now < BEGIN_MS ? undefined : firstInLine(timeline, now)),
  },
  { act: "goes silent", worker: settledHolder },
  {
    act: "lingers",
    worker: (timeline, now) =>
      abandonedSlots(timeline).length === 0 ? undefined : firstInLine(timeline, now),
  },
  {
    act: "is back",
    worker: (timeline, now) =>
      abandonedSlots(timeline).find(
        ({ takenOver }) => takenOver !== undefined && now - takenOver.at >= SEEN_AFTER_MS,
      )?.worker,
  },
  { act: "is killed", worker: settledHolder },
];

/** Tells what is to befall whom, one act after the other. */
export class Plot {
  readonly #left = [...PLOT];
  #lingering = "";

  /** The next act, once its time has come; it counts as done. */
  next(timeline: Timeline, now: number): { act: Act; worker: string } | undefined {
    const [step] = this.#left;
    const worker = step?.worker(timeline, now, this.#lingering);
    if (step === undefined || worker === undefined) return undefined;
    this.#left.shift();
    if (step.act === "lingers") this.#lingering = worker;
    return { act: step.act, worker };
  }
}

/** Who has waited longest, but for one whose network has had its trouble. */
function firstInLine({ lanes }: Timeline, now: number): string | undefined {
  const since = (lane: Lane): number => spanAt(lane, now).from;
  const [first] = lanes
    .filter((lane) => spanAt(lane, now).activity === "waiting" && silencesOf(lane).length === 0)
    .toSorted((one, other) => since(one) - since(other));
  return first?.worker;
}

function settledHolder({ lanes }: Timeline, now: number, lingering: string): string | undefined {
  return lanes.find((lane) => {
    const { activity, from } = spanAt(lane, now);
    return lane.worker === lingering && activity === "holding" && now - from >= SEEN_AFTER_MS;
  })?.worker;
}
