import type { LookupAddress, LookupAllOptions } from "node:dns";
import { lookup as systemLookup } from "node:dns/promises";
import type { LookupFunction } from "node:net";

import { settledWithin } from "../../async/settled-within.js";

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
  const find = async (hostname: string, options: LookupAllOptions): Promise<LookupAddress[]> => {
    const asked = (pending ??= lookup(hostname, options)
      .then((found) => (known = found))
      .finally(() => {
        pending = undefined;
      }));
    if (known !== undefined) await settledWithin(PATIENCE_MS, asked);
    return known ?? (await asked);
  };
  return (hostname, options, callback) => {
    const answer = (addresses: LookupAddress[]): void => {
      const [first] = addresses;
      if (options.all === true || first === undefined) callback(null, addresses);
      else callback(null, first.address, first.family);
    };
    find(hostname, { ...options, all: true }).then(answer, (error: unknown) => {
      callback(error instanceof Error ? error : new Error(String(error)), []);
    });
  };
}
