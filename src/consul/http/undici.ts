/**
 * What is used of undici, file by file. Its index makes an agent of its own the dispatcher of the
 * whole process, through which Node's `fetch` then goes as well; on Node 20 and 22 that breaks it.
 */
export { default as buildConnector } from "undici/lib/core/connect.js";
export { default as errors } from "undici/lib/core/errors.js";
export { default as Client } from "undici/lib/dispatcher/client.js";
export { default as Dispatcher } from "undici/lib/dispatcher/dispatcher.js";
