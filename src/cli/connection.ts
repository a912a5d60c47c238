import { ConsulClient } from "consul-semaphore";

import type { OptionValues } from "./arguments.js";

/**
 * A client for the options of the command line. What they leave open is in the environment.
 *
 * @throws ConsulConfigError
 */
export function connect(values: OptionValues): ConsulClient {
  return new ConsulClient({
    address: values["http-addr"],
    token: values.token,
    tokenFile: values["token-file"],
    datacenter: values.datacenter,
    namespace: values.namespace,
    partition: values.partition,
    tls: {
      caFile: values["ca-file"],
      caPath: values["ca-path"],
      certFile: values["client-cert"],
      keyFile: values["client-key"],
      serverName: values["tls-server-name"],
    },
  });
}

/** The client's options, where its messages name them, as the command line has them. */
const OPTIONS: readonly (readonly [RegExp, string])[] = [
  [/\btls\.caFile\b/g, "--ca-file"],
  [/\btls\.caPath\b/g, "--ca-path"],
  [/\btls\.certFile\b/g, "--client-cert"],
  [/\btls\.keyFile\b/g, "--client-key"],
  [/\btls\.serverName\b/g, "--tls-server-name"],
  [/\bthe option tls\b/g, "--ca-file or another option of TLS"],
  [/\bset the option scheme or CONSUL_HTTP_SSL\b/g, "set CONSUL_HTTP_SSL"],
  [/\btokenFile\b/g, "--token-file"],
  [/\binvalid (address|token)\b/g, "invalid --$1"],
  [/--address\b/g, "--http-addr"],
  [/\bthe client's option, or CONSUL_HTTP_ADDR\b/g, "that of --http-addr or CONSUL_HTTP_ADDR"],
  [/\bhttpAuth\b/g, "CONSUL_HTTP_AUTH"],
];

/** A message of the library in the words of the command line. */
export function inOptions(message: string): string {
  return OPTIONS.reduce((text, [name, option]) => text.replaceAll(name, option), message);
}
