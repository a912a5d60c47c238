/** The state store refuses a request. The message is the one that Consul answers with. */
export class StateError extends Error {
  override readonly name = "StateError";
}
