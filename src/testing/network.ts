import type { Carrier } from "./fake-consul/carrier.js";
import { NetworkLink, type LinkState } from "./network-link.js";

/** The links between Consul and those that use it, which fail together or each alone. */
export class Network<Target> {
  readonly #consul: Carrier;
  readonly #links = new Map<Target, NetworkLink>();
  /** The state of new links. */
  #state: LinkState = "open";

  constructor(consul: Carrier) {
    this.#consul = consul;
  }

  /** Makes something that uses Consul, on a link of its own. */
  connect<User extends Target>(make: (carrier: Carrier) => User): User {
    const link = new NetworkLink(this.#consul, this.#state);
    const user = make(link.carrier);
    this.#links.set(user, link);
    return user;
  }

  /** Makes one stand for the link of another as well. */
  share(user: Target, other: Target): void {
    this.#links.set(other, this.#linkOf(user));
  }

  /** @throws RangeError for a target without a link */
  set(state: LinkState, target?: Target): void {
    if (target !== undefined) {
      this.#linkOf(target).set(state);
      return;
    }
    this.#state = state;
    for (const link of new Set(this.#links.values())) link.set(state);
  }

  #linkOf(target: Target): NetworkLink {
    const link = this.#links.get(target);
    if (link === undefined)
      throw new RangeError("the client, dispatcher or address is not one of this TestConsul");
    return link;
  }
}
