import type { Attempt, Tenure } from "./tenure.js";

/** Who asks for a slot, who has one, and which fencing tokens were given. */
export class Ledger {
  readonly attempts = new Set<Attempt>();
  readonly tenures = new Set<Tenure>();
  readonly #tokens = new Set<bigint>();
  #greatestToken = 0n;
  #turnedBackAt = -Infinity;

  get greatestToken(): bigint {
    return this.#greatestToken;
  }

  /** What is wrong with a token, as far as the tokens before it can tell. */
  take(token: bigint, { greatestToken, calledAt }: Attempt): string | undefined {
    if (this.#tokens.has(token)) return `the token ${token} was given before`;
    this.#tokens.add(token);
    if (calledAt <= this.#turnedBackAt) return undefined;
    if (token > this.#greatestToken) this.#greatestToken = token;
    if (token > greatestToken) return undefined;
    return `the token ${token} is not above ${greatestToken}, which was given before the call`;
  }

  /** Consul's indexes start again from lower ones, and with them the tokens. */
  turnBackTokens(now: number): void {
    this.#turnedBackAt = now;
    this.#greatestToken = 0n;
  }
}
