import type { buildConnector as connecting } from "undici";

import { inSharedContext } from "../../async/shared-context.js";
import type { ResolvedConfig } from "../config/config.js";
import type { TlsFiles } from "../config/tls-files.js";
import type { TlsIdentity } from "../config/tls-settings.js";
import type { Connect } from "./connection.js";
import { rememberingLookup } from "./remembering-lookup.js";
import { buildConnector } from "./undici.js";

/** How the client's own connections are opened. */
export function connector({
  socketPath,
  tls,
}: Pick<ResolvedConfig, "socketPath" | "tls">): Connect {
  if (tls !== undefined) return inNoCallersContext(overTls(tls));
  const to = socketPath === undefined ? { lookup: rememberingLookup() } : { socketPath };
  return inNoCallersContext(telling(buildConnector(to)));
}

/** A connection serves many requests, so it must not belong to the one that opens it. */
function inNoCallersContext(connect: Connect): Connect {
  return (...args) => {
    inSharedContext(() => {
      connect(...args);
    });
  };
}

function telling(connect: ReturnType<typeof buildConnector>): Connect {
  return (options, callback, began) => {
    began(connect(options, callback));
  };
}

/**
 * One connector for all connections until the files change, so that a later handshake can resume an
 * earlier TLS session.
 */
function overTls(files: TlsFiles): Connect {
  const lookup = rememberingLookup();
  let last: { readonly identity: TlsIdentity; readonly connect: Connect } | undefined;
  const connectAs = (identity: TlsIdentity): Connect => {
    if (last?.identity !== identity) {
      const { ca, cert, key } = identity;
      const connect = buildConnector({
        ...(ca === undefined ? {} : { ca: [...ca] }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
        rejectUnauthorized: !files.insecureSkipVerify,
        lookup,
      });
      last = { identity, connect: telling(connect) };
    }
    return last.connect;
  };
  return (options, callback, began) => {
    // undici would use the host of the address.
    const named = { ...options, ...(files.serverName && { servername: files.serverName }) };
    const connected: connecting.Callback = (...outcome) => {
      const [, socket] = outcome;
      // With TLS 1.3 a server rejects a client's certificate after the handshake, by an alert and a
      // close. The alert is the cause; undici would report the close.
      socket?.once("error", (alert: Error) => socket.destroy(alert));
      callback(...outcome);
    };
    files
      .current()
      .then((identity) => {
        connectAs(identity)(named, connected, began);
      })
      // What OpenSSL does not accept.
      .catch((error: unknown) => {
        callback(error instanceof Error ? error : new Error(String(error)), null);
      });
  };
}
