type Attributes = Readonly<Record<string, string | number>>;

/** An SVG element with what is in it. */
export function element(name: string, attributes: Attributes, ...content: string[]): string {
  const text = Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${escape(typeof value === "number" ? short(value) : value)}"`)
    .join("");
  return content.length === 0
    ? `<${name}${text}/>`
    : `<${name}${text}>${content.join("")}</${name}>`;
}

/** A text whose left end, middle or right end is at the point. */
export function label(
  text: string,
  x: number,
  y: number,
  { anchor = "start", look = "" }: { anchor?: "start" | "middle" | "end"; look?: string } = {},
): string {
  return element("text", { x, y, "text-anchor": anchor, class: look }, escape(text));
}

/** A line through the points. */
export function path(points: readonly (readonly [number, number])[], look: string): string {
  const d = points.map(([x, y], index) => `${index === 0 ? "M" : "L"}${short(x)} ${short(y)}`);
  return element("path", { d: d.join(""), class: look });
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

function short(value: number): string {
  return String(Math.round(value * 10) / 10);
}
