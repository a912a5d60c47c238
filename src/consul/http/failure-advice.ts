/** What a user can do about a failure, by the code of Node's or OpenSSL's error. */
export function adviceOn(code: string): string {
  if (UNTRUSTED.has(code)) {
    return "is the server's certificate signed by an authority of tls.caFile, CONSUL_CACERT or, by default, Node (NODE_EXTRA_CA_CERTS)?";
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return "tls.serverName, or CONSUL_TLS_SERVER_NAME, says which name it carries instead";
  }
  if (REFUSED_CLIENT.test(code)) {
    return "does Consul require a client certificate, or another? see tls.certFile and tls.keyFile";
  }
  if (isTlsProblem(code))
    return "does Consul serve https there? if not, the address begins with http://";
  const aboutDispatcher = DISPATCHER_ADVICE.get(code);
  if (aboutDispatcher !== undefined) return aboutDispatcher;
  return "is an agent running there? the address is the client's option, or CONSUL_HTTP_ADDR";
}

/** What a given dispatcher that can never send a request lacks. */
const DISPATCHER_ADVICE: ReadonlyMap<string, string> = new Map([
  ["UND_ERR_DESTROYED", "the dispatcher that the client was given has been destroyed"],
  ["UND_ERR_CLOSED", "the dispatcher that the client was given has been closed"],
  [
    "UND_MOCK_ERR_MOCK_NOT_MATCHED",
    "the MockAgent that the client was given expects no such request",
  ],
  ["UND_ERR_INVALID_ARG", "is the dispatcher that the client was given one of undici 7?"],
]);

/** Whether a given dispatcher says that it can never send the request. */
export function isDispatchersRefusal(code: string): boolean {
  return DISPATCHER_ADVICE.has(code);
}

/** Whether it is the code of a TLS failure, which is not transient. */
export function isTlsProblem(code: string): boolean {
  return UNTRUSTED.has(code) || /^ERR_(?:TLS|SSL)_/.test(code) || code === "EPROTO";
}

/** Whether one side has refused the other's certificate. */
export function isCertificateProblem(code: string): boolean {
  return (
    UNTRUSTED.has(code) || code === "ERR_TLS_CERT_ALTNAME_INVALID" || REFUSED_CLIENT.test(code)
  );
}

/** What a user can do about an unexpected status, or an empty string. */
export function adviceOnStatus(status: number, body: string): string {
  if (status === 400 && /HTTP request to an HTTPS server/i.test(body)) {
    return "the address has to begin with https:// (or set CONSUL_HTTP_SSL)";
  }
  if (status === 500 && /missing node registration/i.test(body)) {
    return (
      "the node is not registered there (yet): PUT /v1/catalog/register does so; a session in another " +
      "datacenter needs one of its nodes: sessionNode, or node of session.create"
    );
  }
  if (status === 500 && /missing check '.*' registration/i.test(body)) {
    return "the node has no such check: see sessionChecks, or checks of session.create";
  }
  if (/invalid key name/i.test(body)) {
    return (
      "agents from 1.21.5 on check keys: use letters, digits and ,_./-?&=, or have the agent set " +
      "disable_kv_key_validation"
    );
  }
  if (/cross datacenter lock/i.test(body)) {
    return "ask a server of that datacenter, or use a session of yours that was made there";
  }
  const [, nanoseconds] = /invalid session ttl '(\d+)'/i.exec(body) ?? [];
  if (nanoseconds !== undefined) {
    return `sessionTTL, or ttl of session.create, is ${Number(nanoseconds) / 1e9}s`;
  }
  if (/no path to datacenter/i.test(body)) return "is datacenter the name of one?";
  if (status === 401 || status === 407) return "a proxy in front of Consul requires httpAuth";
  return "";
}

/** A server's alert about the client's certificate. */
const REFUSED_CLIENT = /^ERR_SSL_.*(?:CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE)/;

const UNTRUSTED: ReadonlySet<string> = new Set([
  "CERT_CHAIN_TOO_LONG",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_REJECTED",
  "CERT_REVOKED",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "PATH_LENGTH_EXCEEDED",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);
