import { expect, test } from "vitest";

import {
  adviceOn,
  adviceOnStatus,
  isCertificateProblem,
  isTlsProblem,
} from "../../../../src/consul/http/failure-advice.js";

test.each([
  ["ECONNREFUSED", false, "is an agent running there?"],
  ["ENOTFOUND", false, "is an agent running there?"],
  ["", false, "is an agent running there?"],
  ["SELF_SIGNED_CERT_IN_CHAIN", true, "tls.caFile, CONSUL_CACERT"],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", true, "tls.caFile, CONSUL_CACERT"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", true, "tls.serverName, or CONSUL_TLS_SERVER_NAME"],
  ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", true, "tls.certFile and tls.keyFile"],
  ["ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE", true, "tls.certFile and tls.keyFile"],
  ["ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED", true, "tls.certFile and tls.keyFile"],
  ["ERR_SSL_WRONG_VERSION_NUMBER", true, "the address begins with http://"],
  ["EPROTO", true, "the address begins with http://"],
  ["UND_ERR_DESTROYED", false, "the dispatcher that the client was given has been destroyed"],
  ["UND_MOCK_ERR_MOCK_NOT_MATCHED", false, "the MockAgent"],
  ["UND_ERR_INVALID_ARG", false, "one of undici 7?"],
])("of %s it is known whether time mends it, and what does", (code, isTls, advice) => {
  expect(isTlsProblem(code)).toBe(isTls);
  expect(adviceOn(code)).toContain(advice);
});

test.each([
  ["CERT_HAS_EXPIRED", true],
  ["ERR_TLS_CERT_ALTNAME_INVALID", true],
  ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", true],
  ["ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE", true],
  ["ERR_SSL_WRONG_VERSION_NUMBER", false],
  ["ECONNRESET", false],
])("whether %s is about a certificate: %j", (code, isAboutOne) => {
  expect(isCertificateProblem(code)).toBe(isAboutOne);
});

test.each([
  [400, "Client sent an HTTP request to an HTTPS server.\n", "has to begin with https://"],
  [400, "Bad request", ""],
  [401, "", "a proxy in front of Consul requires httpAuth"],
  [407, "", "a proxy in front of Consul requires httpAuth"],
  [500, "no leader", ""],
  [500, "rpc error making call: No path to datacenter", "is datacenter the name of one?"],
  [
    500,
    "Invalid Session TTL '5000000000', must be between [10s=24h0m0s]",
    "sessionTTL, or ttl of session.create, is 5s",
  ],
  [500, "rpc error making call: Missing node registration", "needs one of its nodes: sessionNode"],
  [500, "Missing node registration", "PUT /v1/catalog/register"],
  [500, "Missing check 'nosuch' registration", "sessionChecks"],
  [500, "Check 'web' is in critical state", ""],
  [500, 'invalid key name, keys should respect the "^[a-z]+$" format', "disable_kv_key_validation"],
  [500, "cross datacenter lock must be created at server agent", "a session of yours"],
])("of a status of %d with %j it is said: %s", (status, body, advice) => {
  if (advice === "") expect(adviceOnStatus(status, body)).toBe("");
  else expect(adviceOnStatus(status, body)).toContain(advice);
});
