/** Values by name, each of which goes when nobody uses it any more. */
export class SharedValues<Value extends object> {
  readonly #values = new Map<string, WeakRef<Value>>();
  readonly #forgotten = new FinalizationRegistry<string>((name) => {
    if (this.#values.get(name)?.deref() === undefined) this.#values.delete(name);
  });

  /** The one with that name, which is made if there is none. */
  get(name: string, make: () => Value): Value {
    const known = this.#values.get(name)?.deref();
    if (known !== undefined) return known;
    const value = make();
    this.#values.set(name, new WeakRef(value));
    this.#forgotten.register(value, name);
    return value;
  }
}
