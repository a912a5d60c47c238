/**
 * A {@link ConsulClient} was given a configuration it cannot work with; nothing was sent. The message
 * names the option or the variable, and shows no secret. No later try goes better.
 *
 * @example
 * ```ts
 * try {
 *   new ConsulClient();
 * } catch (error) {
 *   if (!(error instanceof ConsulConfigError)) throw error;
 *   console.error(error.message); // such as: invalid CONSUL_HTTP_ADDR "…": …
 *   process.exitCode = 1;
 * }
 * ```
 */
export class ConsulConfigError extends TypeError {
  /** The name of the class. */
  override readonly name = "ConsulConfigError";
  /** Stable across versions. */
  readonly code = "CONSUL_INVALID_CONFIG";
}
