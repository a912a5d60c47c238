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
}
