// A limit that an operator changes while the work goes on. The workers adopt the limit in Consul;
// `resize` sets it for all of them. With a higher limit, waiters come in at once. With a lower one
// nobody loses a slot, and nobody gets one until fewer slots are held.
//
//   npx tsx examples/live-limit/index.ts fetch URL…
//   npx tsx examples/live-limit/index.ts resize 5

import { ConsulClient } from "consul-semaphore";

const PREFIX = process.env["EXAMPLE_PREFIX"] ?? "examples/live-limit";

await using consul = new ConsulClient();
const downloads = consul.semaphoreOpts({
  prefix: PREFIX,
  // Only where no limit has been set in Consul.
  limit: 2,
  adoptLimit: true,
  sessionName: PREFIX,
});

const [command, ...args] = process.argv.slice(2);
if (command === "fetch") {
  await Promise.all(args.map(download));
} else if (command === "resize") {
  await downloads.resize(Number(args[0]));
  console.log(`the limit is ${downloads.limit}`);
} else {
  console.error("usage: live-limit fetch URL… | resize LIMIT");
  process.exitCode = 2;
}

async function download(url: string): Promise<void> {
  try {
    await downloads.run(async (slot) => {
      console.log(`begin ${url}, limit ${downloads.limit}`);
      const response = await fetch(url, { signal: slot.signal });
      await response.text();
    });
    console.log(`end ${url}`);
  } catch (error) {
    console.error(`failed ${url}: ${String(error)}`);
    process.exitCode = 1;
  }
}
