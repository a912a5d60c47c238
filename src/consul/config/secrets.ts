const HTML_ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
};

/** Texts that no error may show. A server or a proxy may echo them. */
export class Secrets {
  readonly #values = new Set<string>();

  /** Adds a secret, and the forms in which it is sent, or may be echoed in a page or in JSON. */
  add(secret: string): void {
    if (secret === "") return;
    const forms = [
      secret,
      encodeURIComponent(secret),
      Buffer.from(secret).toString("base64"),
      JSON.stringify(secret).slice(1, -1),
      secret.replace(/[&<>"']/g, (character) => HTML_ENTITIES[character] ?? character),
    ];
    for (const form of forms) this.#values.add(form);
  }

  /** Replaces the secrets in a text. */
  hide(text: string): string {
    // The longest first: a secret may contain another, and would not match without it.
    const longestFirst = [...this.#values].sort((a, b) => b.length - a.length);
    return longestFirst.reduce((shown, secret) => shown.replaceAll(secret, "***"), text);
  }

  /** Whether a value contains a secret, at any depth. */
  areIn(value: unknown): boolean {
    if (this.#values.size === 0) return false;
    const open: unknown[] = [value];
    const seen = new Set<unknown>();
    while (open.length > 0) {
      const next = open.pop();
      if (typeof next === "string" && this.#isIn(next)) return true;
      if (typeof next !== "object" || next === null || seen.has(next)) continue;
      seen.add(next);
      if (next instanceof Uint8Array) open.push(Buffer.from(next).toString());
      else if (next instanceof Map || next instanceof Set) open.push(...next);
      else open.push(...Reflect.ownKeys(next).map((name) => valueOf(next, name)));
    }
    return false;
  }

  #isIn(text: string): boolean {
    return [...this.#values].some((secret) => text.includes(secret));
  }
}

/** Reads a property. An error of a caller's dispatcher may have a getter that throws. */
function valueOf(object: object, name: PropertyKey): unknown {
  try {
    return Reflect.get(object, name);
  } catch {
    return undefined;
  }
}
