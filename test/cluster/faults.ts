import { setTimeout as pause } from "node:timers/promises";

import type { Cluster } from "../harness/start-cluster.js";

/** Something that befalls a server. Resolves once it is mended, to how long nobody could write. */
export type Fault = (cluster: Cluster, random: () => number) => Promise<number>;

async function outageFrom(cluster: Cluster, start: number): Promise<number> {
  await cluster.untilServing();
  return performance.now() - start;
}

export const killLeader: Fault = async (cluster) => {
  const leader = await cluster.untilServing();
  const start = performance.now();
  await leader.kill();
  const outage = await outageFrom(cluster, start);
  await leader.start();
  return outage;
};

/** It hangs until long after there is another leader, and then finds that it has been deposed. */
export const suspendLeader: Fault = async (cluster, random) => {
  const leader = await cluster.untilServing();
  const start = performance.now();
  leader.suspend();
  const outage = await outageFrom(cluster, start);
  await pause(1_000 + 3_000 * random());
  leader.resume();
  return outage;
};

export const killFollower: Fault = async (cluster, random) => {
  const leader = await cluster.untilServing();
  const followers = cluster.servers.filter((server) => server !== leader);
  const follower = followers[Math.floor(random() * followers.length)];
  const start = performance.now();
  await follower?.kill();
  const outage = await outageFrom(cluster, start);
  await pause(1_000 * random());
  await follower?.start();
  return outage;
};
