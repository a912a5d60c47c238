import { cloneable } from "../../cloneable-error.js";

/**
 * The configuration of a {@link ConsulClient} is invalid; nothing was sent. The message names the
 * option or the variable, and contains no secret. A retry does not help.
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
export class ConsulConfigError extends cloneable(TypeError) {
  /** The name of the class. */
  override readonly name = "ConsulConfigError";
  /** Stable across versions. */
  readonly code = "CONSUL_INVALID_CONFIG";
}
