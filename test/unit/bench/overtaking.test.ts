import fc from "fast-check";
import { expect, test } from "vitest";

import type { Turn } from "../../../bench/load/load-report.js";
import { shareOvertaken } from "../../../bench/overtaking.js";

/** Asked, got in, and has a token, if that is known. */
const turn = (asked: number, began: number, token: number | null = began): Turn => [
  asked,
  began,
  began + 1,
  token,
];

test.each<[string, readonly Turn[], number]>([
  ["nobody among none", [], 0],
  ["nobody where all keep to the order", [turn(0, 10), turn(5, 20), turn(10, 30)], 0],
  ["one whom another has passed", [turn(0, 20), turn(5, 10)], 1 / 2],
  ["two whom the same has passed", [turn(0, 20), turn(3, 30), turn(8, 10)], 2 / 3],
  ["nobody where they came at the same time", [turn(0, 20), turn(2, 10)], 0],
  [
    "who got in later by its token, whatever the clock says",
    [turn(0, 9, 2), turn(5, 10, 1)],
    1 / 2,
  ],
  ["nobody that the clock alone can't tell", [turn(0, 11, null), turn(5, 10, null)], 0],
  ["one that the clock can tell", [turn(0, 14, null), turn(5, 10, null)], 1 / 2],
])("passed is %s", (_, turns, share) => {
  expect(shareOvertaken(turns)).toBeCloseTo(share);
});

test.each<[string, fc.Arbitrary<boolean>]>([
  ["with tokens", fc.constant(true)],
  ["without tokens", fc.constant(false)],
  ["where some have none", fc.boolean()],
])("it is the same in whatever order the turns are reported, %s", (_, tokens) => {
  const anyTurn = fc
    .tuple(fc.nat(100), fc.nat(100), tokens)
    .map(([asked, waited, hasToken]) =>
      turn(asked, asked + waited, hasToken ? asked + waited : null),
    );
  fc.assert(
    fc.property(fc.array(anyTurn, { maxLength: 30 }), (turns) => {
      const slack = turns.some(([, , , token]) => token === null) ? 2 : 0;
      const passedBySomebody = turns.filter((it) =>
        turns.some((other) => other[0] > it[0] + 2 && other[1] + slack < it[1]),
      );
      const share = turns.length === 0 ? 0 : passedBySomebody.length / turns.length;
      expect(shareOvertaken(turns)).toBeCloseTo(share);
      expect(shareOvertaken(turns.toReversed())).toBeCloseTo(share);
    }),
    { numRuns: 1_000 },
  );
});
