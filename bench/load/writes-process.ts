// Two KV writes, one after the other: what a turn would take that needed nothing else.
import { Client } from "undici";

import { carryOut } from "./carry-out.js";
import { parseLoad } from "./load.js";

const load = parseLoad(process.argv.slice(2));
const client = new Client(`http://${load.address}`);

async function write(): Promise<void> {
  const path = `/v1/kv/${load.prefix}`;
  const { statusCode, body } = await client.request({ method: "PUT", path, body: "{}" });
  const answer = await body.text();
  if (statusCode !== 200) throw new Error(`PUT ${path} was answered with ${statusCode}: ${answer}`);
}

await carryOut(
  load,
  () => ({
    enter: async () => {
      await write();
      return null;
    },
    leave: write,
  }),
  () => client.close(),
);
