/** A {@link ConsulClient} was given a configuration it cannot work with; nothing was sent. */
export class ConsulConfigError extends TypeError {
  override readonly name = "ConsulConfigError";
  /** Stable across versions. */
  readonly code = "CONSUL_INVALID_CONFIG";
}
