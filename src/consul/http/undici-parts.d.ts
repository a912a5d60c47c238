// The types of the files of undici that `undici.ts` loads.

declare module "undici/lib/dispatcher/client.js" {
  import { Client } from "undici";
  export default Client;
}

declare module "undici/lib/dispatcher/dispatcher.js" {
  import { Dispatcher } from "undici";
  export default Dispatcher;
}

declare module "undici/lib/core/connect.js" {
  import type { Socket } from "node:net";

  import type { buildConnector } from "undici";

  /** undici's own type leaves out what a connector returns. */
  export default function build(
    options?: buildConnector.BuildOptions,
  ): (options: buildConnector.Options, callback: buildConnector.Callback) => Socket;
}

declare module "undici/lib/core/errors.js" {
  import { errors } from "undici";
  export default errors;
}
