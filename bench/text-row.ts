export interface Column {
  readonly title: string;
  readonly width: number;
}

/** A line of a table whose first two columns are text and whose others are figures. */
export function textRow(columns: readonly Column[], cells: readonly string[]): string {
  return cells
    .map((cell, index) => {
      const width = columns[index]?.width ?? 0;
      return index < 2 ? cell.padEnd(width) : cell.padStart(width);
    })
    .join(" ");
}

/** Three digits, or all before the point. */
export function brief(value: number): string {
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
