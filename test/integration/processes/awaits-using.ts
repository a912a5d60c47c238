import { ConsulClient } from "../../../src/index.js";

const [address = "", prefix = ""] = process.argv.slice(2);
const semaphore = new ConsulClient({ address }).semaphoreOpts({
  prefix,
  limit: 1,
  sessionName: prefix,
});
let heldInside: boolean;
{
  await using slot = await semaphore.acquire();
  heldInside = slot.held;
}
process.stdout.write(JSON.stringify({ heldInside, heldAfter: semaphore.isHeld }));
