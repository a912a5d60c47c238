// The typical program around Go's semaphore, line by line: it handles jobs, one a line on standard
// input, while it has one of two slots. It contends with its Go original, and with
// `consul lock -n 2 examples/from-go COMMAND`.
//
//   seq 10 | npx tsx examples/from-go/index.ts

import { createInterface } from "node:readline";

import { ConsulClient } from "consul-semaphore";

const PREFIX = process.env["EXAMPLE_PREFIX"] ?? "examples/from-go";

// Go:  client, err := api.NewClient(api.DefaultConfig())
const consul = new ConsulClient();

// Go:  sem, err := client.SemaphorePrefix("examples/from-go", 2)
const sem = consul.semaphorePrefix(PREFIX, 2);

// Go:  stopCh := make(chan struct{})
//      signals := make(chan os.Signal, 1)
//      signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
//      go func() { <-signals; close(stopCh) }()
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    stop.abort(new Error(signal));
  });
}

try {
  await main();
} catch (error) {
  // Go:  if lockCh == nil { return }
  if (error !== stop.signal.reason) {
    // Go:  log.Fatal(err)
    console.error(String(error));
    process.exitCode = 1;
  }
} finally {
  // A Go program just ends; this one has a connection and a session kept for the next slot.
  await consul.close();
}

async function main(): Promise<void> {
  // Go:  lockCh, err := sem.Acquire(stopCh)
  const slot = await sem.acquire(stop.signal);
  try {
    console.log("holding");
    // Go:  for {
    //        select {
    //        case <-lockCh:
    //          return errors.New("semaphore lost")
    //        case <-stopCh:
    //          return nil
    //        case job, ok := <-jobs:
    //          if !ok { return nil }
    //          handle(job)
    //        }
    //      }
    const signal = AbortSignal.any([slot.signal, stop.signal]);
    for await (const job of createInterface({ input: process.stdin, signal })) {
      signal.throwIfAborted();
      console.log(`handled ${job}`);
    }
    signal.throwIfAborted();
  } finally {
    // Go:  defer sem.Release()
    await sem.release();
  }
}
