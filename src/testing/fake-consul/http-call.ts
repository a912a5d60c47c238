import { posix } from "node:path";

import type { HttpRequest } from "./carrier.js";
import { bare, HttpFailure } from "./answers.js";

const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]*$/u;

/** A request as Consul's HTTP server parses it. */
export class HttpCall {
  readonly method: string;
  /** Decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** The bytes, one character each. */
  readonly body: string;

  /** @throws HttpFailure for a request that the server answers before it selects an endpoint */
  constructor(request: HttpRequest) {
    const [encodedPath = "", query = ""] = splitOnce(request.path, "?");
    this.method = request.method;
    this.path = decode(encodedPath);
    this.query = new URLSearchParams(query);
    this.body = request.body;
    if (!PRINTABLE.test(this.path)) throw new HttpFailure(bare(400));
    const clean = /\/[/.]/.test(this.path) ? posix.normalize(this.path) : this.path;
    if (clean !== this.path) throw new HttpFailure(bare(301, { Location: encodeURI(clean) }));
    if (/%(?![0-9a-fA-F]{2})/.test(query)) throw new HttpFailure(bare(500));
  }

  /** The first value of a parameter, or an empty string. */
  parameter(name: string): string {
    return this.query.get(name) ?? "";
  }
}

function splitOnce(text: string, separator: string): string[] {
  const position = text.indexOf(separator);
  return position < 0 ? [text] : [text.slice(0, position), text.slice(position + 1)];
}

function decode(path: string): string {
  if (!path.includes("%")) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    throw new HttpFailure(bare(400));
  }
}
