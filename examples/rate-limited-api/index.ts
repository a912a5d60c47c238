// Calls an API that can take only three requests at a time, counted over all processes of the fleet. A
// call that gets no slot in time is given up, and one whose slot is lost is broken off.
//
//   npx tsx examples/rate-limited-api/index.ts URL…

import { ConsulClient, SemaphoreTimeoutError } from "consul-semaphore";

const PREFIX = process.env["EXAMPLE_PREFIX"] ?? "examples/rate-limited-api";
const WAIT = process.env["WAIT"] ?? "10s";
const CALL_MS = Number(process.env["CALL_MS"] ?? 30_000);

/** Tells callers that nothing has been sent. */
class ApiBusyError extends Error {
  override readonly name = "ApiBusyError";
}

// One of each for the process: `run` may be called for any number of calls at once.
await using consul = new ConsulClient();
const apiSlots = consul.semaphoreOpts({ prefix: PREFIX, limit: 3, sessionName: PREFIX });

await Promise.all(process.argv.slice(2).map(report));

async function callApi(url: string): Promise<string> {
  try {
    return await apiSlots.run(
      async (slot) => {
        const signal = AbortSignal.any([slot.signal, AbortSignal.timeout(CALL_MS)]);
        const response = await fetch(url, { signal });
        // Read inside the slot: the API is busy with the call until its end.
        const body = await response.text();
        if (!response.ok) throw new Error(`status ${response.status}: ${body}`);
        return body;
      },
      { timeout: WAIT },
    );
  } catch (error) {
    if (!(error instanceof SemaphoreTimeoutError)) throw error;
    throw new ApiBusyError(error.message, { cause: error });
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
