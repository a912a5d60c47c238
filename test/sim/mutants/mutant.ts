import type { ViolationKind } from "../violation.js";

/** A bug to put into a copy of the library, to see that the simulation finds it. */
export interface Mutant {
  readonly name: string;
  /** Below `src`. */
  readonly file: string;
  /** The exact text to replace; it has to be there just once. */
  readonly search: string;
  readonly replacement: string;
  /** What comes of it. */
  readonly breaks: ViolationKind;
  /** One that found it once, from which the search begins: a change of the library may move it. */
  readonly seed: number;
}
