// Fencing tokens, and a file that checks them: a holder that has lost its slot and goes on all the
// same, as after a pause of its machine, can do no harm any more. Here its session is ended from
// outside, the next holder writes, and then the first one writes late and is refused.
//
//   npx tsx examples/fenced-file/index.ts FOLDER

import { ConsulClient } from "consul-semaphore";

import { FencedFile, StaleTokenError } from "./fenced-file.js";

const prefix = process.env["EXAMPLE_PREFIX"] ?? "examples/fenced-file";
const [folder = "fenced-file"] = process.argv.slice(2);
const file = await FencedFile.open(folder);

await using consul = new ConsulClient();
const options = { prefix, limit: 1, sessionName: prefix };

await using first = await consul.semaphoreOpts(options).acquire();
await file.write("from the first holder", first.fencingToken);
console.log(`the first holder has token ${first.fencingToken} and writes`);

// What an operator can do, or a failed health check where the session has any.
await consul.session.destroy(first.session);

await using second = await consul.semaphoreOpts(options).acquire();
await file.write("from the second holder", second.fencingToken);
console.log(`the second holder has token ${second.fencingToken} and writes`);

// A holder that heeds `first.signal` would not come to this. One that was stopped on its way from
// the check to the write would, and so would a request that was long on its way.
try {
  await file.write("from the first holder, late", first.fencingToken);
  throw new Error("the late write went through");
} catch (error) {
  if (!(error instanceof StaleTokenError)) throw error;
  console.log(`the first holder writes late and is refused: ${error.message}`);
}
console.log(`the file says: ${await file.read()}`);
