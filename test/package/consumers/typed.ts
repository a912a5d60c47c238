import {
  ConsulClient,
  ConsulError,
  Semaphore,
  SemaphoreLostError,
  type ConsulClientConfig,
  type SemaphoreLostReason,
  type SemaphoreOptions,
  type SemaphoreSlot,
} from "consul-semaphore";
import {
  TestConsul,
  type TestConsulOptions,
  type TestConsulServer,
} from "consul-semaphore/testing";

const config: ConsulClientConfig = { address: "127.0.0.1:8500", token: "secret" };
const options: SemaphoreOptions = { prefix: "jobs/resize", limit: 3, sessionTTL: "30s" };

export async function resize(signal: AbortSignal): Promise<string> {
  const consul = new ConsulClient(config);
  const semaphore: Semaphore = consul.semaphoreOpts(options);
  const slot: SemaphoreSlot | null = await semaphore.tryAcquire(signal);
  await slot?.release();
  return semaphore.run(({ fencingToken }) => Promise.resolve(String(fencingToken)), signal);
}

export async function read(consul: ConsulClient): Promise<bigint | undefined> {
  const { value } = await consul.kv.get("jobs/resize/.lock");
  return value?.modifyIndex;
}

export async function readInTest(testing: TestConsulOptions): Promise<bigint | undefined> {
  const consul = new TestConsul(testing);
  // Two declarations of a class with private members would be two types.
  return read(consul.client());
}

export async function serve(): Promise<string> {
  const consul: TestConsulServer = await TestConsul.listen({ port: 0 });
  await consul.close();
  return consul.address;
}

export function reasonOf(error: unknown): SemaphoreLostReason | number | undefined {
  if (error instanceof SemaphoreLostError) return error.reason;
  return error instanceof ConsulError ? error.status : undefined;
}

// Declarations that could not be found would make `any` of it all, which complains of nothing.

// @ts-expect-error: there is no such option
export const misspelt: SemaphoreOptions = { prefix: "jobs/resize", limit: 3, sessionTtl: "30s" };

// @ts-expect-error: a limit is a number
new ConsulClient().semaphorePrefix("jobs/resize", "3");
