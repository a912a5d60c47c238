import { locateBinary } from "./locate-consul.js";

/** The path of a `consul` binary, for the tests that run its commands (such as `consul lock`). */
export async function consulCli(): Promise<string> {
  return (await locateBinary()).found.path;
}
