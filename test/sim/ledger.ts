import type { GoHolding } from "./go-semaphore.js";
import type { SimulatedProcess } from "./simulated-process.js";
import type { Attempt, Tenure } from "./tenure.js";

type AttemptOptions = Partial<Pick<Attempt, "resumes" | "barges" | "waitsUntil">>;

const NO_ATTEMPTS: ReadonlySet<Attempt> = new Set();

/** Who asks for a slot, who has one, and which fencing tokens were given. */
export class Ledger {
  readonly #attempts = new Map<string, Set<Attempt>>();
  readonly tenures = new Set<Tenure>();
  /** What Go's clients have acquired, and not begun to release. */
  readonly goHoldings = new Set<GoHolding>();
  /** When a slot with the session was last acquired, or released. */
  readonly lastUses = new Map<string, number>();
  readonly #lastCalls = new Map<SimulatedProcess, number>();
  readonly #tokens = new Set<bigint>();
  #greatestToken = 0n;
  #turnedBackAt = -Infinity;

  /** Somebody asks for a slot from now on. */
  begin(
    user: string,
    process: SimulatedProcess,
    calledAt: number,
    { resumes = false, barges = false, waitsUntil = Infinity }: AttemptOptions = {},
  ): Attempt {
    const greatestToken = this.#greatestToken;
    const given = { user, process, calledAt, greatestToken, resumes, barges, waitsUntil };
    const attempt: Attempt = { ...given, givenUp: false };
    const ofUser = this.#attempts.get(user) ?? new Set();
    this.#attempts.set(user, ofUser.add(attempt));
    this.#lastCalls.set(process, calledAt);
    return attempt;
  }

  /** The call has its slot, or has ended without one. */
  end(attempt: Attempt): void {
    this.#attempts.get(attempt.user)?.delete(attempt);
  }

  /** The calls that have not ended, in their order. */
  attemptsOf(user: string): ReadonlySet<Attempt> {
    return this.#attempts.get(user) ?? NO_ATTEMPTS;
  }

  get attempts(): readonly Attempt[] {
    return [...this.#attempts.values()].flatMap((attempts) => [...attempts]);
  }

  lastCallOf(process: SimulatedProcess): number {
    return this.#lastCalls.get(process) ?? -Infinity;
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
