const PAGE = "<!DOCTYPE html><title>The gateway</title><p>Somebody answers in Consul's place.";

/** What a proxy answers in Consul's place. Some of it says what Consul's own answers say. */
export const ANSWERS = {
  "page 200": [200, PAGE],
  "page 204": [204, ""],
  "page 401": [401, PAGE],
  "page 403": [403, PAGE],
  "page 404": [404, PAGE],
  "page 408": [408, PAGE],
  fail: [500, "out of order"],
  refuse: [403, "Permission denied"],
  throttle: [429, "Your IP is issuing too many concurrent connections, please rate limit"],
  "newer: rate limit of a server": [
    429,
    "rate limit exceeded, try again later or against a different server",
  ],
  "newer: rate limit of the leader": [
    503,
    "rpc error making call: rate limit exceeded for operation that can only be performed by the leader, try again later",
  ],
  "newer: key": [
    500,
    'invalid key name, keys should respect the "^[a-zA-Z0-9,_./\\-?&=]+$" format',
  ],
  "newer: datacenter": [500, "cross datacenter lock must be created at server agent"],
  "newer: permission": [
    403,
    "Permission denied: token with AccessorID 'b1c7c5a0-0c2e-4d43-9d0a-3a4b5c6d7e8f' lacks permission 'key:list' on \"jobs/\"",
  ],
  "critical check": [500, "rpc error making call: Check 'invalid-orders' is in critical state"],
} as const;
