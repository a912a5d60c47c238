import type { Dispatcher } from "undici";

import { countersOf, trafficOf, type Traffic } from "./traffic.js";

const TRANSACTION_REFUSED = 409;

/** Counts what goes through the dispatchers that are composed with it. */
export class TrafficCounter {
  readonly #counts = trafficOf(() => 0);

  /** So far. */
  get total(): Traffic {
    return { ...this.#counts };
  }

  readonly interceptor: Dispatcher.DispatcherComposeInterceptor =
    (dispatch) => (options, handler) => {
      const { method, path, body } = options;
      const counters = countersOf({ method, path, body });
      this.#counts.requests += 1;
      for (const counter of counters) this.#counts[counter] += 1;
      return dispatch(options, {
        onRequestStart: (...args) => handler.onRequestStart?.(...args),
        onRequestUpgrade: (...args) => handler.onRequestUpgrade?.(...args),
        onResponseStart: (...args) => {
          const [, status] = args;
          if (status === TRANSACTION_REFUSED) this.#counts.refused += 1;
          handler.onResponseStart?.(...args);
        },
        onResponseData: (...args) => {
          const [, chunk] = args;
          this.#counts.bytesRead += chunk.length;
          handler.onResponseData?.(...args);
        },
        onResponseEnd: (...args) => handler.onResponseEnd?.(...args),
        onResponseError: (...args) => handler.onResponseError?.(...args),
      });
    };
}
