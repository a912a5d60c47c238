// The same random requests to all, and every answer compared.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";

import {
  ConsulUnderTest,
  freshPrefix,
  startFake,
  startListening,
  startReal,
} from "./consul-under-test.js";
import { operation } from "./operations.js";
import { perform } from "./perform.js";

const real = new ConsulUnderTest(startReal);
const fake = new ConsulUnderTest(startFake);
const listening = new ConsulUnderTest(startListening);
const all = [real, fake, listening];
beforeAll(() => Promise.all(all.map((consul) => consul.start())));
afterAll(() => Promise.all(all.map((consul) => consul.stop())));

test("whatever is asked, all answer the same", async () => {
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
        const [ofReal, ofFake, ofListening] = await Promise.all(
          all.map(async (consul) => {
            const sessions = [await consul.session(specs[0]), await consul.session(specs[1])];
            return perform(consul, prefix, sessions, operations);
          }),
        );
        expect(ofFake).toEqual(ofReal);
        expect(ofListening).toEqual(ofReal);
      },
    ),
    { numRuns: 30, endOnFailure: true },
  );
});
