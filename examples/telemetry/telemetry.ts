// Turns what the library tells on its diagnostics channels into OpenTelemetry's spans and metrics.
// It depends on the API alone: which SDK is behind it, and whether the metrics go to Prometheus, is
// the program's affair. Call it once, before the first acquire.
import { subscribe, tracingChannel, unsubscribe } from "node:diagnostics_channel";

import { metrics, SpanStatusCode, trace, type Attributes, type Span } from "@opentelemetry/api";
import {
  SemaphoreError,
  type AcquireEvent,
  type HeldEvent,
  type LostEvent,
  type ReleaseEvent,
  type RenewEvent,
  type SlotEvent,
  type WaitEvent,
} from "consul-semaphore";

/** The result ends it, and with it all spans that are open. */
export function instrumentSemaphores(): () => void {
  const tracer = trace.getTracer("consul-semaphore");
  const meter = metrics.getMeter("consul-semaphore");
  const holders = meter.createUpDownCounter("consul_semaphore.holders", {
    description: "Slots that this process holds",
  });
  const waiters = meter.createUpDownCounter("consul_semaphore.waiters", {
    description: "Waiters of this process, in Consul and in memory",
  });
  const waitTime = meter.createHistogram("consul_semaphore.wait_time", {
    description: "How long it took to get a slot",
    unit: "s",
    advice: { explicitBucketBoundaries: [0.005, 0.02, 0.1, 0.5, 1, 5, 15, 60, 300] },
  });
  const losses = meter.createCounter("consul_semaphore.losses", {
    description: "Slots that were lost while they were held",
  });
  const failedRenewals = meter.createCounter("consul_semaphore.failed_renewals", {
    description: "Tries to renew a session that failed; a slot is lost after a TTL of them",
  });

  /** A span for each time that a channel tells of, as a child of the span that is active then. */
  const spans = new WeakMap<object, Span>();
  const begin = (name: string, event: object, attributes: Attributes): void => {
    spans.set(event, tracer.startSpan(`consul-semaphore ${name}`, { attributes }));
  };
  const end = (event: { readonly error?: unknown }, attributes: Attributes = {}): void => {
    const span = spans.get(event)?.setAttributes(attributes);
    const { error } = event;
    if (error instanceof Error) span?.recordException(error);
    // Where a caller has given up the wait, the error is the caller's, and nothing went wrong.
    if (error instanceof SemaphoreError) {
      span?.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
    }
    span?.end();
  };

  const beganAt = new WeakMap<object, number>();
  const endings = [
    follow<AcquireEvent>("acquire", {
      begins: (event) => {
        beganAt.set(event, performance.now());
        begin(event.call, event, { "consul_semaphore.prefix": event.prefix });
      },
      ends: (event) => {
        const { prefix, session, fencingToken } = event;
        end(event, {
          "consul_semaphore.session": session,
          "consul_semaphore.fencing_token": fencingToken?.toString(),
        });
        const waited = (performance.now() - (beganAt.get(event) ?? NaN)) / 1_000;
        if (session !== undefined) waitTime.record(waited, { prefix });
      },
    }),
    follow<WaitEvent>("wait", {
      begins: ({ prefix, where }) => {
        waiters.add(1, { prefix, where });
      },
      ends: ({ prefix, where }) => {
        waiters.add(-1, { prefix, where });
      },
    }),
    follow<HeldEvent>("held", {
      begins: (event) => {
        holders.add(1, { prefix: event.prefix });
        begin("held", event, attributesOf(event));
      },
      ends: (event) => {
        holders.add(-1, { prefix: event.prefix });
        end(event);
      },
    }),
    follow<ReleaseEvent>("release", {
      begins: (event) => {
        begin("release", event, attributesOf(event));
      },
      ends: (event) => {
        end(event);
      },
    }),
    follow<RenewEvent>("renew", {
      begins: () => undefined,
      ends: ({ error }) => {
        if (error !== undefined) failedRenewals.add(1);
      },
    }),
  ];
  const lost = (message: unknown): void => {
    if (!isLoss(message)) return;
    losses.add(1, { prefix: message.prefix, reason: message.error.reason });
  };
  subscribe("consul-semaphore:lost", lost);
  return () => {
    for (const ending of endings) ending();
    unsubscribe("consul-semaphore:lost", lost);
  };
}

function attributesOf({ prefix, session, fencingToken }: SlotEvent): Attributes {
  return {
    "consul_semaphore.prefix": prefix,
    "consul_semaphore.session": session,
    "consul_semaphore.fencing_token": fencingToken.toString(),
  };
}

interface Follower<Event> {
  readonly begins: (event: Event) => void;
  readonly ends: (event: Event) => void;
}

/** Each event that has begun here ends here, at the latest when following it does. */
function follow<Event extends object>(name: string, { begins, ends }: Follower<Event>): () => void {
  const channel = tracingChannel<unknown, Event>(`consul-semaphore:${name}`);
  const open = new Set<Event>();
  const end = (event: Event): void => {
    if (open.delete(event)) ends(event);
  };
  const ignore = (): void => undefined;
  const handlers = {
    start: (event: Event): void => {
      open.add(event);
      begins(event);
    },
    asyncEnd: end,
    ...{ end: ignore, asyncStart: ignore, error: ignore },
  };
  channel.subscribe(handlers);
  return () => {
    channel.unsubscribe(handlers);
    for (const event of open) end(event);
  };
}

function isLoss(message: unknown): message is LostEvent {
  return typeof message === "object" && message !== null && "error" in message;
}
