/** Whether the figures reach a goal. */
export interface Verdict {
  readonly goal: string;
  /** What was measured. */
  readonly found: string;
  readonly met: boolean;
}

export function lineOfVerdict({ goal, found, met }: Verdict): string {
  return `${met ? "met   " : "MISSED"} ${goal}: ${found}`;
}
