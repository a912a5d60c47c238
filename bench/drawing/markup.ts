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

/** A text whose left or right end is at the point. */
export function label(
  text: string,
  x: number,
  y: number,
  { anchor, look }: { anchor?: "end"; look?: string } = {},
): string {
  const where = anchor === undefined ? {} : { "text-anchor": anchor };
  const how = look === undefined ? {} : { class: look };
  return element("text", { x, y, ...where, ...how }, escape(text));
}

/** A line through the points. */
export function path(points: readonly (readonly [number, number])[], look: string): string {
  const d = points.map(([x, y], index) => `${index === 0 ? "M" : "L"}${short(x)} ${short(y)}`);
  return element("path", { d: d.join(""), class: look });
}

/** Straight lines, each from one point to another. */
export function lines(
  ends: readonly (readonly [x1: number, y1: number, x2: number, y2: number])[],
  look: string,
): string {
  const d = ends.map(([x1, y1, x2, y2]) => `M${short(x1)} ${short(y1)}L${short(x2)} ${short(y2)}`);
  return element("path", { d: d.join(""), class: look });
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

function short(value: number): string {
  return String(Math.round(value * 10) / 10);
}
