// Calls an API that bears only a few requests at a time: at most three, counted over all processes
// of the fleet. Whoever gets no slot in time gives up with an error that says so, and a call whose
// slot is lost is broken off.
//
//   npx tsx examples/rate-limited-api/index.ts URL…

import { ConsulClient } from "consul-semaphore";

const PREFIX = process.env["EXAMPLE_PREFIX"] ?? "examples/rate-limited-api";
const LIMIT = 3;
const WAIT_MS = Number(process.env["WAIT_MS"] ?? 10_000);
const CALL_MS = Number(process.env["CALL_MS"] ?? 30_000);

/** So that callers can tell it from a failure of the API: nothing has been sent. */
class ApiBusyError extends Error {
  override readonly name = "ApiBusyError";
}

// One for the process, since it is the client that shares connections and blocking queries.
await using consul = new ConsulClient();

await Promise.all(process.argv.slice(2).map(report));

async function callApi(url: string): Promise<string> {
  // One for each call, since a semaphore has one slot at a time. It costs nothing.
  const semaphore = consul.semaphoreOpts({ prefix: PREFIX, limit: LIMIT, sessionName: PREFIX });
  const waiting = AbortSignal.timeout(WAIT_MS);
  try {
    return await semaphore.run(async (slot) => {
      const signal = AbortSignal.any([slot.signal, AbortSignal.timeout(CALL_MS)]);
      const response = await fetch(url, { signal });
      // Read in here: until its end, the API is still busy with the call.
      const body = await response.text();
      if (!response.ok) throw new Error(`status ${response.status}: ${body}`);
      return body;
    }, waiting);
  } catch (error) {
    if (error !== waiting.reason) throw error;
    throw new ApiBusyError(`no slot within ${WAIT_MS} ms`, { cause: error });
  }
}

async function report(url: string): Promise<void> {
  try {
    const body = await callApi(url);
    console.log(`${url}: ${body.length} characters`);
  } catch (error) {
    console.error(`${url}: ${String(error)}`);
    process.exitCode = 1;
  }
}
