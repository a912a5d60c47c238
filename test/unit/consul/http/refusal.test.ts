// What is surely Consul's own word, and final. Everything else may be a load balancer's.
import { describe, expect, test } from "vitest";

import { isRefusal } from "../../../../src/consul/http/refusal.js";

describe("a refusal of Consul's", () => {
  test.each([
    [400, "Request decode failed: invalid character 'x'"],
    [400, "Client sent an HTTP request to an HTTPS server."],
    [400, 'Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature'],
    [401, "ACL support disabled"],
    [403, "Permission denied"],
    [403, "rpc error making call: Permission denied"],
    [403, "rpc error making call: rpc error making call: ACL not found"],
    [403, "rpc error: code = PermissionDenied desc = Permission denied: token with AccessorID 'a'"],
    [405, "method DELETE not allowed"],
    [409, "rpc error making call: Permission denied"],
    [413, "Request body(600000 bytes) too large, max size: 524288 bytes"],
    [413, "Value exceeds 524288 byte limit"],
    [500, "Invalid Session TTL '1000000000', must be between [10s=24h0m0s]"],
    [500, "Session TTL 'soon' invalid: time: invalid duration soon"],
    [500, 'rpc error making call: invalid session "2d1b6b3e-0d53-4f55-8c4b-3b0a4cf0d1f2"'],
    [500, 'invalid key name, keys should respect the "^[a-z]+$" format'],
    [500, "Invalid Behavior setting 'none'"],
    [500, "invalid session"],
    [500, "rpc error making call: Invalid session behavior: none"],
    [500, "Missing check 'nosuch' registration"],
    [500, "rpc error making call: cross datacenter lock must be created at server agent"],
  ])("is %d %s", (status, text) => {
    expect(isRefusal(status, text)).toBe(true);
  });

  test.each([
    [200, "<html>"],
    [204, ""],
    [302, "Found"],
    [400, "<html><h1>400 Bad Request</h1>"],
    [400, "Bad Request"],
    [400, "bad request.\n"],
    [400, ""],
    [401, "<html>"],
    [403, "<html>Permission denied"],
    [403, "RBAC: access denied"],
    [403, "Forbidden"],
    [404, "404 page not found"],
    [404, "Permission denied"],
    [408, "Request Timeout"],
    [413, "<html>too large"],
    [429, "rate limit exceeded, try again later or against a different server"],
    [500, "No cluster leader"],
    [500, "rpc error making call: Check 'invalid-orders' is in critical state"],
    [500, "<html>invalid upstream"],
    [500, "invalid upstream"],
    [500, "invalid session cookie"],
    [500, "the upstream sent an invalid header"],
    [502, "Invalid backend"],
    [503, "Permission denied"],
  ])("is not %d %s", (status, text) => {
    expect(isRefusal(status, text)).toBe(false);
  });
});
