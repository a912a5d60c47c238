/** For requests that fail for a while. */
const RETRY_PAUSES: BackoffOptions = { first: 50, longest: 1_000 };

export interface BackoffOptions {
  /** The first pause, in milliseconds; each after it is twice as long. */
  readonly first: number;
  /** The pauses grow up to this length, in milliseconds. */
  readonly longest: number;
}

/**
 * The pauses between attempts. They grow, and each is shortened by a random part of up to a half,
 * so that clients which failed at the same moment do not retry at the same moment.
 */
export class Backoff {
  readonly #first: number;
  readonly #longest: number;
  #pause: number;

  constructor({ first, longest } = RETRY_PAUSES) {
    this.#first = first;
    this.#longest = longest;
    this.#pause = first;
  }

  /** The length of the next pause, in milliseconds; so many times longer than usual. */
  next(factor = 1): number {
    const pause = this.#pause;
    this.#pause = Math.min(2 * pause, this.#longest);
    return factor * pause * (1 - Math.random() / 2);
  }

  /** Starts again with the first pause. To be called after a success. */
  reset(): void {
    this.#pause = this.#first;
  }
}
