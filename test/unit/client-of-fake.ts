import { onTestFinished } from "vitest";

import { ConsulClient, type ConsulClientConfig } from "../../src/index.js";
import { CarriedDispatcher } from "../../src/testing/fake-consul/carried-dispatcher.js";
import type { Carrier } from "../../src/testing/fake-consul/carrier.js";
import { FakeConsul } from "../../src/testing/fake-consul/fake-consul.js";
import { globalClock } from "../../src/testing/global-clock.js";

/** A Consul in memory, with a client of it. Both end with the test. */
export class Scene {
  readonly consul = new FakeConsul({ clock: globalClock, shortestTtl: 100 });
  readonly client: ConsulClient;
  /** Answers in Consul's place, if it is there. */
  instead: Carrier | undefined;

  constructor(config: ConsulClientConfig = {}) {
    this.client = new ConsulClient({
      address: "127.0.0.1:8500",
      dispatcher: new CarriedDispatcher((request, receiver) =>
        (this.instead ?? this.consul.carrier)(request, receiver),
      ),
      ...config,
    });
    onTestFinished(async () => {
      await this.client.close();
      this.consul.dispose();
    });
  }
}
