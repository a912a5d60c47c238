// The recipe of examples/telemetry with OpenTelemetry's own SDK behind it.
import { context, metrics, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { PrometheusExporter, PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, expect, test } from "vitest";

import { instrumentSemaphores } from "../../examples/telemetry/telemetry.js";
import { Scene } from "./client-of-fake.js";
import { rejectionOf } from "./rejection.js";

const PREFIX = "jobs/resize";

let spans: InMemorySpanExporter;
let prometheus: PrometheusExporter;
let stop: () => void;

beforeEach(() => {
  spans = new InMemorySpanExporter();
  prometheus = new PrometheusExporter({ preventServerStart: true });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager());
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }),
  );
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [prometheus] }));
  stop = instrumentSemaphores();
});

afterEach(() => {
  stop();
  trace.disable();
  metrics.disable();
  context.disable();
});

/** What Prometheus would read now, by name and labels. */
async function scraped(): Promise<ReadonlyMap<string, number>> {
  const { resourceMetrics, errors } = await prometheus.collect();
  expect(errors).toEqual([]);
  const text = new PrometheusSerializer().serialize(resourceMetrics);
  return new Map(
    [...text.matchAll(/^(consul_semaphore_\w+\{[^}]*\}) (\S+)$/gm)].map(
      ([, name = "", value]): [string, number] => [
        name.replace(/,?otel_scope_\w+="[^"]*"/g, "").replace("{,", "{"),
        Number(value),
      ],
    ),
  );
}

const spanOf = (name: string): ReadableSpan | undefined =>
  spans.getFinishedSpans().find((span) => span.name === `consul-semaphore ${name}`);

test("the spans of a slot hang on the one that was active, and say which slot it was", async () => {
  const { client } = new Scene();
  const sem = client.semaphorePrefix(PREFIX, 2);
  const tracer = trace.getTracer("the program");
  const slot = await tracer.startActiveSpan("job", async (job) => {
    const held = await sem.acquire();
    await sem.release();
    job.end();
    return held;
  });
  const job = spans.getFinishedSpans().find(({ name }) => name === "job");
  for (const name of ["acquire", "held", "release"]) {
    const span = spanOf(name);
    expect(span?.parentSpanContext?.spanId, name).toBe(job?.spanContext().spanId);
    expect(span?.attributes, name).toEqual({
      "consul_semaphore.prefix": PREFIX,
      "consul_semaphore.session": slot.session,
      "consul_semaphore.fencing_token": slot.fencingToken.toString(),
    });
  }
});

test("Prometheus reads who holds, who waits, for how long, and what was lost", async () => {
  const { client, consul } = new Scene();
  const [one, other] = [client.semaphorePrefix(PREFIX, 1), client.semaphorePrefix(PREFIX, 1)];
  const labels = `{prefix="${PREFIX}"}`;
  const waiting = `{prefix="${PREFIX}",where="consul"}`;
  const slot = await one.acquire();
  const next = other.acquire();
  next.catch(() => undefined);
  while ((await one.inspect()).waiters.length === 0) await new Promise(setImmediate);
  const during = await scraped();
  expect(during.get(`consul_semaphore_holders${labels}`)).toBe(1);
  expect(during.get(`consul_semaphore_waiters${waiting}`)).toBe(1);
  expect(during.get(`consul_semaphore_wait_time_count${labels}`)).toBe(1);

  consul.destroySession(slot.session);
  await next;
  // Whoever has a slot by force of an operator may have it a moment before the loss is told.
  while (slot.held) await new Promise(setImmediate);
  const after = await scraped();
  expect(after.get(`consul_semaphore_holders${labels}`)).toBe(1);
  expect(after.get(`consul_semaphore_waiters${waiting}`)).toBe(0);
  expect(after.get(`consul_semaphore_wait_time_count${labels}`)).toBe(2);
  const losses = `consul_semaphore_losses_total{prefix="${PREFIX}",reason="session-invalidated"}`;
  expect(after.get(losses)).toBe(1);
  expect(spanOf("held")?.status.message).toContain("Semaphore slot lost");

  await other.release();
  await one.release();
  expect((await scraped()).get(`consul_semaphore_holders${labels}`)).toBe(0);
});

test("a wait that the caller gives up is no error, and a program that listens no more counts nothing", async () => {
  const { client } = new Scene();
  const [one, other] = [client.semaphorePrefix(PREFIX, 1), client.semaphorePrefix(PREFIX, 1)];
  await one.acquire();
  const giveUp = new AbortController();
  const attempt = rejectionOf(other.acquire(giveUp.signal));
  while ((await one.inspect()).waiters.length === 0) await new Promise(setImmediate);
  giveUp.abort(new Error("enough"));
  await attempt;
  const span = spans.getFinishedSpans().findLast(({ name }) => name.endsWith("acquire"));
  expect(span?.status.code).toBe(SpanStatusCode.UNSET);
  expect(span?.events).toMatchObject([{ attributes: { "exception.message": "enough" } }]);

  expect(spanOf("held")).toBeUndefined();
  stop();
  expect(spanOf("held")).toBeDefined();
  const labels = `{prefix="${PREFIX}"}`;
  const waiting = `{prefix="${PREFIX}",where="consul"}`;
  expect((await scraped()).get(`consul_semaphore_holders${labels}`)).toBe(0);
  expect((await scraped()).get(`consul_semaphore_waiters${waiting}`)).toBe(0);
  await one.release();
});

test("runs that wait in memory are told from waiters in Consul", async () => {
  const sem = new Scene().client.semaphorePrefix(PREFIX, 1);
  let leave = (): void => undefined;
  const left = new Promise<void>((resolve) => (leave = resolve));
  const runs = Promise.all([1, 2, 3].map(() => sem.run(() => left)));
  while (!(await sem.inspect()).holders[0]) await new Promise(setImmediate);
  const waiting = `consul_semaphore_waiters{prefix="${PREFIX}",where="memory"}`;
  expect((await scraped()).get(waiting)).toBe(2);
  leave();
  await runs;
  expect((await scraped()).get(waiting)).toBe(0);
});

test("a slot that was there before anybody listened is not counted when it ends", async () => {
  stop();
  const { client } = new Scene();
  const sem = client.semaphorePrefix(PREFIX, 1);
  await sem.acquire();
  stop = instrumentSemaphores();
  await sem.release();
  const shown = await scraped();
  expect(shown.get(`consul_semaphore_holders{prefix="${PREFIX}"}`) ?? 0).toBe(0);
});
