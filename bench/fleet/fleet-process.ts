// Contenders of this library, each with a client of its own, as if each were a process of its own.
import { Session } from "node:inspector/promises";
import { setTimeout as pause } from "node:timers/promises";
import { Pool } from "undici";

import { ConsulClient } from "../../src/index.js";
import { parseLoad } from "../load/load.js";
import { orderToStart } from "../load/order-to-start.js";
import { wallClock } from "../load/wall-clock.js";
import { cpuSharesOf, type CpuShares } from "./cpu-shares.js";
import type { FleetReport, FleetTurn } from "./fleet-report.js";
import { TrafficCounter } from "./traffic-counter.js";
import { trafficOf, type Traffic } from "./traffic.js";

const load = parseLoad(process.argv.slice(2));
const counter = new TrafficCounter();
const clients = Array.from({ length: load.contenders }, (): FleetTurn[] => []);

const startAt = await orderToStart();
const now = (): number => wallClock() - startAt;
await pause(-now());
const contenders = clients.map(takeTurns);
// The contenders go on and on: only one that fails ends.
const measured = Promise.all([countWithinMeasuredTime(), profileMeasuredTime()]);
const [wire, cpu] = await Promise.race([measured, ...contenders]);
const report: FleetReport = { clients, cpu, ...(load.count === true ? { wire } : {}) };
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());

async function takeTurns(turns: FleetTurn[]): Promise<never> {
  const semaphore = newClient().semaphorePrefix(load.prefix, load.limit);
  for (;;) {
    const turn: FleetTurn = { asked: now(), held: null, releasing: null, released: null };
    turns.push(turn);
    const slot = await semaphore.acquire();
    turn.held = now();
    if (load.holdMs > 0) await pause(load.holdMs);
    slot.signal.throwIfAborted();
    turn.releasing = now();
    await slot.release();
    turn.released = now();
  }
}

function newClient(): ConsulClient {
  const { address } = load;
  if (load.count !== true) return new ConsulClient({ address });
  const dispatcher = new Pool(`http://${address}`).compose(counter.interceptor);
  return new ConsulClient({ address, dispatcher });
}

async function countWithinMeasuredTime(): Promise<NonNullable<FleetReport["wire"]>> {
  const totalAt = async (ms: number): Promise<{ at: number; total: Traffic }> => {
    await pause(ms - now());
    return { at: now(), total: counter.total };
  };
  const first = await totalAt(load.warmUpMs);
  const last = await totalAt(load.warmUpMs + load.measureMs);
  return {
    from: first.at,
    to: last.at,
    traffic: trafficOf((name) => last.total[name] - first.total[name]),
  };
}

async function profileMeasuredTime(): Promise<CpuShares | undefined> {
  if (load.profile !== true) return undefined;
  await pause(load.warmUpMs - now());
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.start");
  await pause(load.measureMs);
  const { profile } = await session.post("Profiler.stop");
  return cpuSharesOf(profile);
}
