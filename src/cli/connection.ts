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
const OPTIONS: readonly (readonly [name: string, option: string])[] = [
  ["tls.caFile", "--ca-file"],
  ["tls.caPath", "--ca-path"],
  ["tls.certFile", "--client-cert"],
  ["tls.keyFile", "--client-key"],
  ["tls.serverName", "--tls-server-name"],
  ["the option tls", "an option of TLS"],
  ["tokenFile", "--token-file"],
  ["invalid token", "invalid --token"],
  ["option token", "--token"],
  ["invalid address", "invalid --http-addr"],
  ["the client's option,", "that of --http-addr"],
];

/** A message of the library in the words of the command line. */
export function inOptions(message: string): string {
  return OPTIONS.reduce((text, [name, option]) => text.replaceAll(name, option), message);
}
