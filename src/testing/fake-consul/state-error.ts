/** A request that the state store refuses. The message is Consul's. */
export class StateError extends Error {
  override readonly name = "StateError";
}
