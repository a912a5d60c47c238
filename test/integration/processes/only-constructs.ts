import { ConsulClient } from "../../../src/index.js";

const [address = "", prefix = ""] = process.argv.slice(2);
new ConsulClient({ address }).semaphorePrefix(prefix, 1);
process.stdout.write("{}");
