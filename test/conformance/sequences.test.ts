// The same random requests to both, and every answer compared.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";

import { ConsulUnderTest, freshPrefix, startFake, startReal } from "./consul-under-test.js";
import { operation } from "./operations.js";
import { perform } from "./perform.js";

const real = new ConsulUnderTest(startReal);
const fake = new ConsulUnderTest(startFake);
beforeAll(() => Promise.all([real.start(), fake.start()]));
afterAll(() => Promise.all([real.stop(), fake.stop()]));

test("whatever is asked, both answer the same", async () => {
  const sessionSpec = fc.record({
    Behavior: fc.constantFrom("release", "delete"),
    LockDelay: fc.constantFrom("0s", "0s", "1h"),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(sessionSpec, sessionSpec),
      fc.array(operation, { minLength: 40, maxLength: 40 }),
      async (specs, operations) => {
        const prefix = `${freshPrefix()}/`;
        const [ofReal, ofFake] = await Promise.all(
          [real, fake].map(async (consul) => {
            const sessions = [await consul.session(specs[0]), await consul.session(specs[1])];
            return perform(consul, prefix, sessions, operations);
          }),
        );
        expect(ofFake).toEqual(ofReal);
      },
    ),
    { numRuns: 30, endOnFailure: true },
  );
});
