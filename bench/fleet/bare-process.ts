// A bare queue in Consul, measured as the contenders of this library are.
import { parseLoad } from "../load/load.js";
import { BareContender } from "./bare-contender.js";
import { reportFleet } from "./report-fleet.js";

const load = parseLoad(process.argv.slice(2));
await reportFleet(load, () => new BareContender(load));
