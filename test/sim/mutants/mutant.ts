import type { ViolationKind } from "../violation.js";

/** A change of a copy of the library. */
export interface Edit {
  /** Below the root. */
  readonly file: string;
  /** The exact text to replace; it has to be there just once. */
  readonly search: string;
  readonly replacement: string;
}

/** Few queues of the simulation are long: with this, those of more than one are. */
export const LONG_QUEUES: readonly Edit[] = [
  {
    file: "src/protocol/long-queue.ts",
    search: "const LONG_QUEUE = 50;",
    replacement: "const LONG_QUEUE = 1;",
  },
];

/** In few scenarios the limit changes: with this it does in all, and runs follow one another. */
export const MANY_LIMITS: readonly Edit[] = [
  {
    file: "test/sim/draw-scenario.ts",
    search: "const resizes = random.chance(1 / 6);",
    replacement: "const resizes = true;",
  },
  {
    file: "test/sim/semaphore-user.ts",
    search: '[...TURNS, "resize", "resize", "resize"]',
    replacement: '["runs", "runs", "resize", "acquire"]',
  },
];

/** A bug to put into a copy of the library, to see that the simulation finds it. */
export interface Mutant extends Edit {
  readonly name: string;
  /** What makes it show more often. */
  readonly circumstances?: readonly Edit[];
  /** What comes of it. */
  readonly breaks: ViolationKind;
  /** One that found it once, from which the search begins: a change of the library may move it. */
  readonly seed: number;
}
