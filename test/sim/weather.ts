import type { Host } from "./host.js";
import { isLinkFault, type LinkFault } from "./link-fault.js";
import type { Random } from "./prng.js";
import { PREFIX, type FaultKind } from "./scenario.js";
import type { World } from "./world.js";

/** More than a run ever writes, so that no index comes twice. */
const TURNED_BACK_BY = 1_000_000n;

const INTERFERENCES = ["destroy-session", "delete-contender", "delete-lock"] as const;

/** The faults of one run: it begins them one after the other and ends them all in time. */
export class Weather {
  readonly #world: World;
  readonly #random: Random;
  readonly #ends = new Set<() => void>();

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  start(): void {
    const { time, scenario } = this.#world;
    if (scenario.faults.length === 0) return;
    time.after(scenario.faultsFrom, () => {
      this.#next();
    });
  }

  /** From now on nothing goes wrong any more. */
  clear(): void {
    for (const end of this.#ends) end();
  }

  #next(): void {
    const { time, scenario, windsDown } = this.#world;
    if (windsDown) return;
    this.#strike(this.#random.pick(scenario.faults));
    time.after(this.#random.exponential(scenario.faultEvery), () => {
      this.#next();
    });
  }

  #strike(fault: FaultKind): void {
    if (isLinkFault(fault)) {
      this.#link(fault);
      return;
    }
    switch (fault) {
      case "stall":
        this.#host().stall(this.#withinWork(this.#drawStall()));
        break;
      case "stop-front":
        this.#stopFront();
        break;
      case "kill":
        if (this.#random.chance(0.4)) this.#kill();
        break;
      case "restart":
        this.#restart();
        break;
      case "election":
        this.#election();
        break;
      case "agent-restart":
        this.#agentRestart();
        break;
      case "restore":
        this.#restore();
        break;
      case "destroy-session":
      case "delete-contender":
      case "delete-lock":
        this.#invalidate(fault);
        break;
    }
  }

  #link(fault: LinkFault): void {
    const { hosts } = this.#world;
    const all = this.#random.chance(0.25);
    const share = this.#random.pick([0.3, 0.7, 1]);
    const ends = (all ? hosts : [this.#host()]).map(({ link }) => link.begin(fault, share));
    const lasts = this.#drawDuration();
    this.#world.trace.add("weather", `${fault} (${share}) for ${lasts.toFixed(0)} ms`);
    this.#endAfter(lasts, () => {
      for (const end of ends) end();
      this.#world.trace.add("weather", `${fault} is over`);
    });
  }

  /** The first in the queue stand still all at once, while their sessions live on for a while. */
  #stopFront(): void {
    const { state, hosts, tally } = this.#world;
    const count = this.#random.whole(1, Math.max(1, hosts.length - 1));
    const ms = this.#withinWork(this.#drawStall());
    const machines = new Set(
      state.waiters
        .flatMap(({ session }) => (session === null ? [] : state.machineOf(session)))
        .slice(0, count),
    );
    tally.add("fault stop-front");
    for (const host of hosts) if (machines.has(host.plan.name)) host.stall(ms);
  }

  #kill(): void {
    const host = this.#host();
    if (host.process.state === "killed" || host.hasLastingSession) return;
    this.#world.tally.add("fault kill");
    host.kill();
  }

  #restart(): void {
    const host = this.#host();
    if (host.process.state === "killed") return;
    this.#world.tally.add("fault restart");
    host.kill();
    this.#endAfter(this.#random.exponential(5_000), () => {
      host.restart();
    });
  }

  #election(): void {
    const { consul, links, tally, trace } = this.#world;
    tally.add("fault election");
    trace.add("weather", "the leader is lost");
    const overs = links.map((link) => link.suffer("grave"));
    consul.loseLeader();
    this.#endAfter(this.#random.between(100, 12_000), () => {
      trace.add("weather", "there is a leader");
      consul.electLeader();
      consul.staleBy(this.#random.between(0, 500));
      for (const over of overs) over();
      const again = links.map((link) => link.suffer("mild"));
      this.#endAfter(this.#random.between(500, 5_000), () => {
        consul.staleBy(0);
        for (const over of again) over();
      });
    });
  }

  /** One agent serves all hosts here: a host with an agent of its own is like a link that is cut. */
  #agentRestart(): void {
    const { hosts, tally, trace } = this.#world;
    tally.add("fault agent-restart");
    trace.add("weather", "the agent restarts");
    const ends = hosts.map(({ link }) => link.begin("refuse", 1));
    this.#endAfter(this.#random.between(500, 6_000), () => {
      for (const end of ends) end();
    });
  }

  /** New servers go on with the same state, but count it with smaller indexes. */
  #restore(): void {
    const { consul, links, tally, trace } = this.#world;
    tally.add("fault restore");
    // A look on its way would wait for an index of the past: nobody can tell that it is one.
    for (const link of links) link.cutOnTheWay();
    trace.add("weather", "the servers are replaced, and restored");
    this.#world.turnedBack();
    consul.turnBackIndexes(TURNED_BACK_BY);
    // Whoever has not noticed is not told of what happens from then on.
    this.#world.time.after(this.#random.between(6_000, 12_000), () => {
      if (!this.#world.windsDown) this.#invalidate(this.#random.pick(INTERFERENCES));
    });
  }

  /** Somebody interferes who may: an operator, a failed health check. */
  #invalidate(fault: (typeof INTERFERENCES)[number]): void {
    const world = this.#world;
    const { consul, state, tally, trace } = world;
    const lockKey = `${PREFIX}/.lock`;
    if (fault === "delete-lock") {
      if (state.lock === undefined) return;
      for (const session of state.holders) world.force(session);
      trace.add("operator", "deletes the lock entry");
      consul.deleteKey(lockKey);
    } else {
      const contenders = [...state.entries.keys()].filter((key) => key !== lockKey);
      if (contenders.length === 0) return;
      const key = this.#random.pick(contenders);
      const session = key.slice(PREFIX.length + 1);
      world.force(session);
      trace.add("operator", `${fault} ${session}`);
      if (fault === "delete-contender") consul.deleteKey(key);
      else consul.destroySession(session);
    }
    tally.add(`fault ${fault}`);
  }

  #host(): Host {
    return this.#random.pick(this.#world.hosts);
  }

  #drawDuration(): number {
    const random = this.#random;
    return random.pick([
      random.between(10, 1_000),
      random.between(500, 5_000),
      random.between(2_000, 12_000),
      random.between(10_000, 40_000),
    ]);
  }

  #drawStall(): number {
    const random = this.#random;
    const ttl = this.#host().plan.ttl;
    return (
      random.pick([random.between(0.01, 0.3), random.between(0.1, 1), random.between(0.9, 3)]) * ttl
    );
  }

  #withinWork(ms: number): number {
    const { time, scenario } = this.#world;
    return Math.min(ms, Math.max(1, scenario.activeUntil - time.now()));
  }

  /** Ends something after a while, or when all faults end. */
  #endAfter(ms: number, end: () => void): void {
    const once = (): void => {
      if (this.#ends.delete(once)) end();
    };
    this.#ends.add(once);
    this.#world.time.after(ms, once);
  }
}
