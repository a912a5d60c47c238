import { STATUS_CODES } from "node:http";

import fc from "fast-check";

import type { RawAnswer } from "./raw-server.js";
import { strangeAnswers, type StrangeAnswer } from "./strange-answers.js";

/** What is done to an answer on its way. */
interface Mishap {
  /** How the end of the body is told. */
  readonly framing: "length" | "too long" | "too short" | "chunked" | "bad chunk" | "by the end";
  /** The share of it that is sent. */
  readonly share: number;
  readonly piece: number;
  readonly after: RawAnswer["after"];
  /** Whether the server sends back what it was sent, as some proxies do on their error pages. */
  readonly echoes: boolean;
}

const mishaps: fc.Arbitrary<Mishap> = fc.record({
  framing: fc.oneof(
    { weight: 4, arbitrary: fc.constant("length" as const) },
    {
      weight: 3,
      arbitrary: fc.constantFrom<Mishap["framing"]>(
        ...(["too long", "too short", "chunked", "bad chunk", "by the end"] as const),
      ),
    },
  ),
  share: fc.oneof(
    { weight: 3, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.double({ min: 0, max: 1, noNaN: true }) },
  ),
  piece: fc.constantFrom(1_000_000, 1_000_000, 17),
  after: fc.oneof(
    { weight: 5, arbitrary: fc.constant("ends" as const) },
    { weight: 3, arbitrary: fc.constant("is reset" as const) },
    { weight: 4, arbitrary: fc.constant("stays open" as const) },
  ),
  echoes: fc.boolean(),
});

const noise: fc.Arbitrary<RawAnswer> = fc.record({
  pieces: fc.array(
    fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
    {
      maxLength: 3,
    },
  ),
  after: fc.constantFrom("ends", "is reset"),
});

/** What one request is answered with; it may depend on what was sent. */
export type AnswerTo = (request: string) => RawAnswer;

/** Answers that are broken on the way, and noise that is none. */
export const rawAnswers: fc.Arbitrary<AnswerTo> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.tuple(strangeAnswers, mishaps).map(
      ([answer, mishap]): AnswerTo =>
        (request) =>
          broken(answer, mishap, request),
    ),
  },
  {
    weight: 1,
    arbitrary: noise.map(
      (raw): AnswerTo =>
        () =>
          raw,
    ),
  },
);

function broken(answer: StrangeAnswer, mishap: Mishap, request: string): RawAnswer {
  const body = Buffer.from(mishap.echoes ? `${answer.body} ${request}` : answer.body);
  const head = [
    `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? "Whatever"}`,
    ...Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}`),
    ...framing(mishap, body),
  ];
  const whole = Buffer.concat([
    Buffer.from(`${head.join("\r\n")}\r\n\r\n`),
    mishap.framing.endsWith("chunk") || mishap.framing === "chunked"
      ? chunked(body, mishap.framing)
      : body,
  ]);
  const sent = whole.subarray(0, Math.ceil(whole.length * mishap.share));
  const size = Math.max(mishap.piece, Math.ceil(sent.length / 20));
  const pieces: Buffer[] = [];
  for (let at = 0; at < sent.length; at += size) pieces.push(sent.subarray(at, at + size));
  return { pieces, after: mishap.after };
}

function framing({ framing: kind }: Mishap, body: Buffer): readonly string[] {
  switch (kind) {
    case "length":
      return [`content-length: ${body.length}`];
    case "too long":
      return [`content-length: ${body.length + 10}`];
    case "too short":
      return [`content-length: ${Math.max(0, body.length - 10)}`];
    case "chunked":
    case "bad chunk":
      return ["transfer-encoding: chunked"];
    case "by the end":
      return ["connection: close"];
  }
}

function chunked(body: Buffer, kind: Mishap["framing"]): Buffer {
  const size = kind === "bad chunk" ? "zz" : body.length.toString(16);
  return Buffer.concat([
    ...(body.length === 0 ? [] : [Buffer.from(`${size}\r\n`), body, Buffer.from("\r\n")]),
    Buffer.from("0\r\n\r\n"),
  ]);
}
