import type { LookupAddress, LookupAllOptions } from "node:dns";
import { lookup as systemLookup } from "node:dns/promises";
import type { LookupFunction } from "node:net";

import { callAfter } from "../../async/call-after.js";

/** How long an answer is waited for where an earlier one is known: a renewal is in a hurry. */
const PATIENCE_MS = 250;

type LookupAll = (hostname: string, options: LookupAllOptions) => Promise<LookupAddress[]>;

/**
 * Looks up the one host of a client. Where that fails or takes too long, the last answer does:
 * lookups share a few threads with file access, and a hung mount or a slow name server blocks all.
 */
export function rememberingLookup(lookup: LookupAll = systemLookup): LookupFunction {
  let known: LookupAddress[] | undefined;
  let pending: Promise<LookupAddress[]> | undefined;
  return (hostname, options, callback) => {
    pending ??= lookup(hostname, { ...options, all: true })
      .then((found) => (known = found))
      .finally(() => {
        pending = undefined;
      });
    const answer = (addresses: LookupAddress[]): void => {
      const [first] = addresses;
      if (options.all === true || first === undefined) callback(null, addresses);
      else callback(null, first.address, first.family);
    };
    orKnown(pending, known).then(answer, (error: unknown) => {
      callback(error instanceof Error ? error : new Error(String(error)), []);
    });
  };
}

async function orKnown<Answer>(
  pending: Promise<Answer>,
  known: Answer | undefined,
): Promise<Answer> {
  if (known === undefined) return await pending;
  return await new Promise((resolve) => {
    const cancel = callAfter(PATIENCE_MS, () => {
      resolve(known);
    });
    void pending
      .catch(() => known)
      .then((answer) => {
        cancel();
        resolve(answer);
      });
  });
}
