/** How a program is called, before the arguments that say what it is to do. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
}
