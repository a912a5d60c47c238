import fc from "fast-check";

/** What a server may say that is no Consul, or no longer in its right mind. */
export interface StrangeAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What Consul itself could not say at this point, but a sloppy reader might take for its answer. */
const NEAR_MISSES = [
  "",
  "null",
  "true",
  "false",
  "1",
  '"true"',
  "[]",
  "{}",
  "[null]",
  "[{}]",
  "true false",
  '{"ID":""}',
  '{"ID":"00000000-0000-0000-0000-000000000000"}',
  '{"Results":null}',
  '{"Results":[]}',
  '{"Results":[{"KV":null}]}',
  '{"Results":null,"Errors":null}',
  '{"Errors":[]}',
  '{"Errors":[{"OpIndex":0,"What":"failed"}]}',
  '{"Errors":[{"OpIndex":-1,"What":null}]}',
  '[{"LockIndex":0,"Key":"","Flags":0,"Value":null,"CreateIndex":0,"ModifyIndex":0}]',
  '[{"LockIndex":1,"Key":"a","Flags":18446744073709551616,"Value":"!","CreateIndex":1,"ModifyIndex":1}]',
  '[{"LockIndex":1e400,"Key":"a","Flags":-1,"Value":"YQ==","CreateIndex":1.5,"ModifyIndex":1}]',
  "rpc error making call: Permission denied",
  "No cluster leader",
  "invalid session",
  "<html><body><h1>502 Bad Gateway</h1></body></html>",
  '[{"LockIndex":1,"Key":"a","Fl',
  "\u0000\ufffe\ud83d\ude00",
  `{"ID":"${"x".repeat(70_000)}"}`,
  `${"[".repeat(5_000)}${"]".repeat(5_000)}`,
] as const;

const STATUSES = [
  200, 200, 200, 200, 201, 204, 206, 301, 304, 307, 400, 401, 403, 404, 404, 405, 407, 408, 409,
  409, 413, 418, 429, 429, 499, 500, 500, 501, 502, 503, 504, 599,
] as const;

const indexes = fc.oneof(
  fc.constantFrom(
    "0",
    "1",
    "7",
    "18446744073709551615",
    "99999999999999999999",
    "-1",
    "1e3",
    "",
    "x",
  ),
  fc.bigInt({ min: 0n, max: 2n ** 64n }).map(String),
);

const headers = fc.record(
  {
    "x-consul-index": indexes,
    "x-consul-knownleader": fc.constantFrom("true", "false", "maybe", ""),
    "x-consul-lastcontact": fc.constantFrom("0", "5", "-5", "soon"),
    "content-type": fc.constantFrom("application/json", "text/html; charset=latin1", "", "x"),
    location: fc.constantFrom("/v1/kv/elsewhere", "http://127.0.0.1:1/", "//"),
    "retry-after": fc.constantFrom("0", "3600", "never"),
    "www-authenticate": fc.constant('Basic realm="proxy"'),
  },
  { requiredKeys: [] },
);

/** Any text, near misses, and any JSON. */
export const strangeBodies: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...NEAR_MISSES) },
  { weight: 2, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 200 }) },
);

/** An answer of whoever serves there. */
export const strangeAnswers: fc.Arbitrary<StrangeAnswer> = fc.record({
  status: fc.oneof(fc.constantFrom(...STATUSES), fc.integer({ min: 200, max: 599 })),
  headers,
  body: strangeBodies,
});
