import type { ViolationKind } from "../violation.js";

/** A change of a copy of the library. */
export interface Edit {
  /** Below `src`. */
  readonly file: string;
  /** The exact text to replace; it has to be there just once. */
  readonly search: string;
  readonly replacement: string;
}

/** Few queues of the simulation are long: with this, those of more than one are. */
export const LONG_QUEUES: Edit = {
  file: "protocol/long-queue.ts",
  search: "const LONG_QUEUE = 50;",
  replacement: "const LONG_QUEUE = 1;",
};

/** A bug to put into a copy of the library, to see that the simulation finds it. */
export interface Mutant extends Edit {
  readonly name: string;
  /** Whether it is one of long queues. */
  readonly inLongQueues?: true;
  /** What comes of it. */
  readonly breaks: ViolationKind;
  /** One that found it once, from which the search begins: a change of the library may move it. */
  readonly seed: number;
}
