import { join } from "node:path";

import { z } from "zod";

import { run } from "./run.js";

const packedSchema = z.tuple([
  z.object({
    filename: z.string(),
    unpackedSize: z.number(),
    files: z.array(z.object({ path: z.string() })),
  }),
]);

/** What npm would publish of a package. */
export interface PackedPackage {
  readonly tarball: string;
  readonly unpackedSize: number;
  readonly files: readonly string[];
}

/** Packs the package in `folder` as it is there; nothing is built for it. */
export async function pack(folder: string, destination: string): Promise<PackedPackage> {
  const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", destination];
  const answer: unknown = JSON.parse(await run("npm", args, folder));
  const [{ filename, unpackedSize, files }] = packedSchema.parse(answer);
  return {
    tarball: join(destination, filename),
    unpackedSize,
    files: files.map(({ path }) => path),
  };
}
