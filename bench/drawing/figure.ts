import { element, label } from "./markup.js";

/** The size of a figure. It is scaled to the page's width. */
export const figureWidth = 880;
export const figureHeight = 412;

/** Where the two panels of a figure have their axes. */
export const panels = [
  { left: 66, right: 424, top: 128, bottom: 338 },
  { left: 494, right: 852, top: 128, bottom: 338 },
] as const;

// The page that shows it decides between light and dark, so each figure carries both.
const style = `
svg{--paper:#fff;--ink:#1f2328;--faint:#59636e;--grid:#e4e8ec;--ours:#0a68d8;--go:#d4680f}
@media (prefers-color-scheme:dark){
svg{--paper:#0d1117;--ink:#e6edf3;--faint:#9198a1;--grid:#262c34;--ours:#58a6ff;--go:#f0883e}}
text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--faint)}
.paper{fill:var(--paper)}
.heading{font-size:16px;font-weight:600;fill:var(--ink)}
.title{font-size:13px;font-weight:600;fill:var(--ink)}
.grid{stroke:var(--grid);fill:none}
.floor{stroke:var(--faint);stroke-dasharray:4 4;fill:none}
.line{fill:none;stroke-width:2.5;stroke-linejoin:round;stroke-linecap:round}
.dots{stroke-width:8;stroke-linecap:round}
path.ours{stroke:var(--ours)}path.go{stroke:var(--go)}
text.ours{fill:var(--ours)}text.go{fill:var(--go)}
text.ours,text.go{font-weight:600}
`;

/** A whole SVG file. */
export function figure(heading: string, footnote: string, content: readonly string[]): string {
  return `${element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${figureWidth} ${figureHeight}`,
      role: "img",
      "aria-label": heading,
    },
    element("style", {}, style),
    element("rect", { width: figureWidth, height: figureHeight, rx: 8, class: "paper" }),
    label(heading, 20, 32, { look: "heading" }),
    ...content,
    label(footnote, 20, figureHeight - 10),
  )}\n`;
}
