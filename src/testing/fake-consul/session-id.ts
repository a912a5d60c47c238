import { StateError } from "./state-error.js";

/** Makes an ID as Consul does: 16 random bytes in the form of a UUID, without a version. */
export function newSessionId(random: () => number): string {
  const hex = Array.from({ length: 16 }, () =>
    Math.floor(random() * 256)
      .toString(16)
      .padStart(2, "0"),
  ).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/**
 * The key of an ID in the table of sessions. Case does not count.
 *
 * @throws StateError for an invalid ID
 */
export function sessionKey(id: string): string {
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) return id;
  const fail = (why: string): Error => new StateError(`failed session lookup: index error: ${why}`);
  if (Buffer.byteLength(id) !== 36) throw fail("UUID must be 36 characters");
  const hyphens = id.split("-").length - 1;
  if (hyphens > 4) throw fail(`UUID should have maximum of 4 "-"; got ${hyphens}`);
  const digits = id.replaceAll("-", "");
  const odd = /[^0-9a-f]/iu.exec(digits)?.[0];
  if (odd !== undefined) {
    const code = (odd.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
    throw fail(`Invalid UUID: encoding/hex: invalid byte: U+${code} '${odd}'`);
  }
  return id.toLowerCase();
}
