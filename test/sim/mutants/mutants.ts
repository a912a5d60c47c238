import type { Mutant } from "./mutant.js";

/** The bugs that a semaphore like this one is most likely to have. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "no-watchdog",
    file: "session/watchdog.ts",
    search: "if (this.#expiresAt === Infinity) return;",
    replacement: "return;",
    breaks: "A-outlived",
  },
  {
    name: "ttl-counted-from-the-answer",
    file: "session/renewal.ts",
    search: "term = { sentAt, ttl:",
    replacement: "term = { sentAt: performance.now(), ttl:",
    breaks: "A-outlived",
  },
  {
    name: "swap-without-answer-forgotten",
    file: "queue/claim.ts",
    search: 'if (!isHolder) this.#state = { kind: "holder" };',
    replacement: "",
    breaks: "wire",
  },
  {
    name: "contender-entry-deleted-first",
    file: "protocol/transactions.ts",
    search: "...this.#withdraw(session, lock, successor?.session, swapMayCome),",
    replacement: "",
    breaks: "wire",
  },
  {
    name: "release-ignores-a-lost-race",
    file: "queue/exit.ts",
    search: "known = undefined;\n    }",
    replacement: "return;\n    }",
    breaks: "C-leak",
  },
  {
    name: "clock-never-read",
    file: "session/watchdog.ts",
    search: 'if (this.#state === "watching" && performance.now() >= this.#expiresAt) this.#end();',
    replacement: "",
    breaks: "A-held",
  },
  {
    name: "ttl-of-the-users-session-unknown",
    file: "session/creation.ts",
    search: "return session === null ? Infinity : (ttlOf(session) ?? Infinity);",
    replacement: "return Infinity;",
    breaks: "A-held",
  },
  {
    name: "holder-never-told",
    file: "queue/monitor.ts",
    search: "if (reason !== undefined) slot.lost(",
    replacement: "if (false) slot.lost(",
    breaks: "B-not-told",
  },
  {
    name: "monitor-believes-a-stale-server",
    file: "queue/requests.ts",
    search: "return { ...this.#scope, consistent: true, ...options };",
    replacement: "return { ...this.#scope, ...options };",
    breaks: "D-needless-loss",
  },
  {
    name: "join-with-an-unconditional-write",
    file: "protocol/transactions.ts",
    search: 'return { ...this.#lockWrite(lock), verb: "cas", modifyIndex };',
    replacement: "return this.#lockWrite(lock);",
    breaks: "A-too-many",
  },
  {
    name: "renewal-gives-up-at-once",
    file: "session/renewal.ts",
    search: "failed(error);",
    replacement: 'return new SemaphoreLostError("session-expired", error);',
    breaks: "D-needless-loss",
  },
  {
    name: "monitor-gives-up-at-once",
    file: "queue/monitor.ts",
    search: "if (performance.now() < this.#seenAt + this.#patienceFor(error)) return undefined;",
    replacement: "",
    breaks: "D-needless-loss",
  },
  {
    name: "gateways-403-is-taken-for-consuls",
    file: "consul/http/refusal.ts",
    search: "return REFUSALS[status]?.test(ownWords(text)) === true;",
    replacement: "return status === 403 || REFUSALS[status]?.test(ownWords(text)) === true;",
    breaks: "state",
  },
  {
    name: "gateways-404-means-that-nothing-is-there",
    file: "consul/query.ts",
    search: 'const index = answer.header("x-consul-index");',
    replacement: 'const index = answer.header("x-consul-index") ?? "1";',
    breaks: "D-needless-loss",
  },
  {
    name: "one-too-many",
    file: "protocol/queue-view.ts",
    search: "return Math.max(0, limit - liveHolders(view).size);",
    replacement: "return Math.max(0, limit + 1 - liveHolders(view).size);",
    breaks: "wire",
  },
  {
    name: "token-of-another-write",
    file: "queue/lock-writes.ts",
    search: "if (written !== undefined) return written.modifyIndex;",
    replacement: "if (written !== undefined) return written.modifyIndex - 1n;",
    breaks: "F-token",
  },
  {
    name: "dead-holders-stay",
    file: "protocol/snapshot.ts",
    search: ".filter((session) => !alive.has(session))",
    replacement: ".filter(() => false)",
    breaks: "E-forgotten",
  },
  {
    name: "session-never-destroyed",
    file: "session/lease.ts",
    search: "this.#sessions.destroy(this.id, ",
    replacement: "Promise.resolve(",
    breaks: "C-leak",
  },
  {
    name: "aborted-acquire-leaves-all-behind",
    file: "queue/clean-up.ts",
    search: 'if (kind === "holder") {',
    replacement: 'if (!own) return;\n      if (kind === "holder") {',
    breaks: "C-leak",
  },
  {
    name: "everybody-takes-what-is-free",
    file: "protocol/next-step.ts",
    search: "if (ahead.length < free) return",
    replacement: "if (free > 0) return",
    breaks: "E-order",
  },
  {
    name: "who-does-not-move-is-waited-for-for-ever",
    file: "protocol/next-step.ts",
    search: "if (now < passAt) return waitBehind(view, place, now, passAt);",
    replacement: "return waitBehind(view, place, now, Infinity);",
    breaks: "E-idle",
  },
  {
    name: "kept-session-is-for-good",
    file: "session/idle-sessions.ts",
    search: "          this.#remove(use, kept);\n          void end(lease);",
    replacement: "",
    breaks: "C-leak",
  },
  {
    name: "newcomer-passes-the-queue",
    file: "queue/entrance.ts",
    search: `if (view === undefined || this.#known.isContended || this.#line.size > 0) return false;
    return mayJoinAtOnce(view, claim, performance.now());
  }

  #isContended(claim: Claim): boolean {
    return this.#known.isContended && this.#hasLimitOf(claim);`,
    replacement: `if (view === undefined || performance.now() > view.readAt + 250) return false;
    return this.#hasLimitOf(claim) && view.lock.holders.size < claim.limit;
  }

  #isContended(): boolean {
    return false;`,
    breaks: "E-order",
  },
  {
    name: "resumed-slot-has-the-old-token",
    file: "queue/entrance.ts",
    search: "? transactions.rejoin(claim.entry, view, limit)",
    replacement: "? transactions.join(claim.entry, view, limit)",
    breaks: "F-token",
  },
  {
    name: "nobody-checks-the-holders",
    file: "protocol/next-step.ts",
    search: "const checkAt = holdersSeenAt(view) + HOLDERS_LIVE_MS;",
    replacement: "const checkAt = Infinity;",
    breaks: "E-idle",
  },
  {
    name: "no-touch",
    file: "protocol/transactions.ts",
    search: "...this.#swapIn(contender.session, known, limit),\n      ...this.#touch(contender),",
    replacement: "...this.#swapIn(contender.session, known, limit),",
    breaks: "E-idle",
  },
  {
    name: "waits-since-the-newest-index",
    file: "queue/line.ts",
    search: "const options = blocking(modifyIndex, wait, ANSWER_GRACE_MS);",
    replacement:
      "const options = blocking(this.#known.view?.lock.modifyIndex ?? modifyIndex, wait, ANSWER_GRACE_MS);",
    breaks: "E-idle",
  },
  {
    name: "slot-handed-to-any-waiter-of-ours",
    file: "queue/exit.ts",
    search: "if (claim.isOpen && !gone.has(claim) && isNextInLine(then, claim)) return claim;",
    replacement: "if (claim.isOpen && !gone.has(claim)) return claim;",
    breaks: "E-order",
  },
  {
    name: "a-waiter-that-gave-up-takes-those-ahead-with-it",
    file: "protocol/queue-view.ts",
    search:
      "const readAt = place > 0 ? -Infinity : view.readAt;\n    return withIdleFront({ ...view, waiters: others, readAt, isLockStale: true }, now);",
    replacement:
      "const waiters = others.slice(place);\n    return withIdleFront({ ...view, waiters, isLockStale: true }, now);",
    breaks: "E-order",
  },
  {
    name: "slot-passed-on-past-waiters",
    file: "protocol/next-step.ts",
    search: "isUncontended(view, holder, now) &&",
    replacement: "",
    breaks: "E-starved",
  },
  {
    name: "waiters-of-long-ago-are-all-that-is-looked-for",
    file: "queue/exit.ts",
    search: "const view = this.#readLately ?? (await this.#known.read(timeout));",
    replacement:
      "const known = this.#known.view;\n      const view = known ? { ...known, readAt: performance.now() } : await this.#known.read(timeout);",
    breaks: "E-starved",
  },
  {
    name: "slot-passed-on-with-the-old-token",
    file: "protocol/transactions.ts",
    search:
      "this.#lockSwap({ limit, holders: others }, modifyIndex),\n      this.#lockWrite({ limit, holders }),",
    replacement: "this.#lockSwap({ limit, holders }, modifyIndex),",
    breaks: "F-token",
  },
  {
    name: "slot-ends-only-after-it-was-passed-on",
    file: "tenure.ts",
    search: "this.slot.end(new SemaphoreReleasedError());",
    replacement:
      "setTimeout(() => {\n      this.slot.end(new SemaphoreReleasedError());\n    }, 20);",
    breaks: "A-too-many",
  },
  {
    name: "ended-run-calls-nobody-up",
    file: "runs.ts",
    search: "if (!isPassedOn) this.#ended();",
    replacement: "",
    breaks: "E-forgotten",
  },
  {
    name: "lowered-limit-lets-newcomers-in",
    file: "protocol/next-step.ts",
    search: "const free = freeSlots(view, limit);",
    replacement: "const free = freeSlots(view, Math.max(limit, me.limit));",
    breaks: "wire",
  },
  {
    name: "slot-passed-on-above-a-lowered-limit",
    file: "protocol/next-step.ts",
    search: "holders.size <= limitFor(holder, view.lock.limit)",
    replacement: "holders.size > 0",
    breaks: "wire",
  },
  {
    name: "adopted-limit-is-for-good",
    file: "slot-source.ts",
    search: "const options = { prefix, limit: this.#limit, adoptLimit, value,",
    replacement:
      "const adopts = adoptLimit && this.queue.limit === undefined;\n    if (adoptLimit) this.#limit = this.limit;\n    Object.assign(this.options, { adoptLimit: adopts });\n    const options = { prefix, limit: this.#limit, adoptLimit: adopts, value,",
    breaks: "state",
  },
  {
    name: "resize-overwrites-what-came-meanwhile",
    file: "protocol/transactions.ts",
    search: "return [this.#lockSwap({ limit, holders }, modifyIndex)];",
    replacement: "return [this.#lockWrite({ limit, holders })];",
    breaks: "wire",
  },
  {
    name: "drain-without-patience",
    file: "client-context.ts",
    search: "if (drain > 0) await this.#drained(drain);",
    replacement: "",
    breaks: "state",
  },
  {
    name: "session-with-a-lost-slot-is-free-at-once",
    file: "tenure.ts",
    search: "context.track(this.#cleanUp().within(LOST_GRACE_MS));",
    replacement: "finished();",
    breaks: "wire",
  },
];
