import fc from "fast-check";

/** Few, so that operations meet; some are prefixes of others. */
export const KEYS = ["a", "a/b", "ab", "b"] as const;

/** Which modify index an operation names: the entry's own, or another. */
type NamedIndex = "right" | "wrong" | "none";

/** One request of a sequence. Sessions go by their number, and indexes by whether they are right. */
export type Operation =
  | {
      readonly kind: "put" | "acquire" | "release" | "cas" | "delete" | "deleteCas" | "deleteBelow";
      readonly key: string;
      readonly value: string;
      readonly session: number;
      readonly index: NamedIndex;
    }
  | { readonly kind: "txn"; readonly parts: readonly TxnPart[] }
  | { readonly kind: "destroy"; readonly session: number }
  | { readonly kind: "list"; readonly prefix: string };

/** One operation of a transaction. */
export interface TxnPart {
  readonly verb: string;
  readonly key: string;
  readonly value: string;
  readonly session: number;
  readonly index: NamedIndex;
}

const target = {
  key: fc.constantFrom(...KEYS),
  // Two values, so that a write often changes nothing.
  value: fc.constantFrom("", "1"),
  session: fc.constantFrom(0, 1),
  index: fc.constantFrom<NamedIndex>("right", "right", "wrong", "none"),
};

const txnPart: fc.Arbitrary<TxnPart> = fc.record({
  ...target,
  verb: fc.constantFrom(
    ...["set", "cas", "lock", "unlock", "get", "get-tree", "delete", "delete-cas", "delete-tree"],
    ...["check-index", "check-session", "check-not-exists"],
  ),
});

/** What one who becomes a holder does to its contender entry. */
const touch: fc.Arbitrary<readonly TxnPart[]> = fc
  .record(target)
  .map((entry) => ["unlock", "lock"].map((verb) => ({ ...entry, verb })));

export const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      ...target,
      kind: fc.constantFrom(
        ...(["put", "acquire", "release", "cas", "delete", "deleteCas", "deleteBelow"] as const),
      ),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("txn" as const),
      parts: fc.oneof(
        { weight: 5, arbitrary: fc.array(txnPart, { minLength: 1, maxLength: 3 }) },
        { weight: 1, arbitrary: touch },
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("destroy" as const), session: target.session }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("list" as const),
      prefix: fc.constantFrom("", "a", "a/", "c"),
    }),
  },
);
