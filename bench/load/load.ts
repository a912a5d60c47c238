import { parseArgs } from "node:util";

/** What one process of the benchmark is to do. */
export interface Load {
  /** Where Consul serves, as `host:port`: the form that the Go client takes as well. */
  readonly address: string;
  readonly prefix: string;
  readonly limit: number;
  /** How many contend in this process. */
  readonly contenders: number;
  readonly holdMs: number;
  /** How long it goes on before the measured time. */
  readonly warmUpMs: number;
  readonly measureMs: number;
  /** Whether it counts its requests, which takes time of its own. */
  readonly count?: boolean;
  /** Whether it takes a profile of the measured time. */
  readonly profile?: boolean;
}

/** The command line of a process with this load, the same for all programs but for `count` and `profile`. */
export function loadArguments(load: Load): string[] {
  return [
    ...["--address", load.address, "--prefix", load.prefix],
    ...["--limit", String(load.limit), "--contenders", String(load.contenders)],
    ...["--hold", String(load.holdMs), "--warm-up", String(load.warmUpMs)],
    ...["--measure", String(load.measureMs)],
    ...(load.count === true ? ["--count"] : []),
    ...(load.profile === true ? ["--profile"] : []),
  ];
}

export function parseLoad(args: readonly string[]): Load {
  const { values } = parseArgs({
    args: [...args],
    options: {
      address: { type: "string", default: "" },
      prefix: { type: "string", default: "" },
      limit: { type: "string", default: "1" },
      contenders: { type: "string", default: "1" },
      hold: { type: "string", default: "0" },
      "warm-up": { type: "string", default: "0" },
      measure: { type: "string", default: "0" },
      count: { type: "boolean", default: false },
      profile: { type: "boolean", default: false },
    },
  });
  return {
    address: values.address,
    prefix: values.prefix,
    limit: Number(values.limit),
    contenders: Number(values.contenders),
    holdMs: Number(values.hold),
    warmUpMs: Number(values["warm-up"]),
    measureMs: Number(values.measure),
    count: values.count,
    profile: values.profile,
  };
}
