import { expect, it } from "vitest";

import { withTabs } from "../../build/tabs.js";

it("puts tabs where code is indented, and leaves the text in templates as it is", () => {
  const code = [
    "if (isOver) {",
    "  report(`one",
    "    two ${nested(`",
    "  three`)}",
    "  four`, () => {",
    "    end();",
    "   });",
    "}",
  ];
  expect(withTabs("code.cjs", code.join("\n"), 2)).toEqual({
    code: [
      "if (isOver) {",
      "\treport(`one",
      "    two ${nested(`",
      "  three`)}",
      "  four`, () => {",
      "\t\tend();",
      "\t });",
      "}",
    ].join("\n"),
    shifts: [0, 1, 0, 0, 0, 2, 1, 0],
  });
});
