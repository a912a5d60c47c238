/** What looking in one place for a Consul came to. `missing` is a clause that fits in a list. */
export type Finding<T> =
  { readonly found: T; readonly source: string } | { readonly missing: string };

/**
 * Looks in one place. It throws when the user asked for just that place and it does not serve:
 * to go on silently to another one would test something else than was asked for.
 */
export type Probe<T> = () => Promise<Finding<T>>;

/** The first place that serves, with a sentence that says why those before it did not. */
export interface FirstFound<T> {
  readonly found: T;
  readonly source: string;
}

/** Runs the probes one after another, since a later one may cost a download. */
export async function firstFound<T>(
  probes: readonly Probe<T>[],
  advice: string,
): Promise<FirstFound<T>> {
  const passedOver: string[] = [];
  for (const probe of probes) {
    const finding = await probe();
    if ("found" in finding) {
      const reasons = passedOver.length === 0 ? "" : ` (${passedOver.join("; ")})`;
      return { found: finding.found, source: `${finding.source}${reasons}` };
    }
    passedOver.push(finding.missing);
  }
  throw new Error(`Found no Consul to test against: ${passedOver.join("; ")}. ${advice}`);
}
