import { type Answer, type ConsulUnderTest } from "./consul-under-test.js";
import type { Operation, TxnPart } from "./operations.js";

/** Greater than any index, and as far from the right one on every Consul. */
const WRONG_BY = 1_000_000_000n;

/**
 * What one Consul says to a sequence of operations below a prefix, each answer with its status and
 * index, and then what is left there.
 */
export async function perform(
  consul: ConsulUnderTest,
  prefix: string,
  sessions: readonly string[],
  operations: readonly Operation[],
): Promise<string[]> {
  const answers: string[] = [];
  for (const operation of operations) {
    const shown = show(await request(consul, prefix, sessions, operation));
    answers.push(`${JSON.stringify(operation)} → ${shown}`);
  }
  answers.push(show(await consul.send("GET", `/v1/kv/${prefix}?recurse`)));
  return comparable(answers, sessions);
}

async function request(
  consul: ConsulUnderTest,
  prefix: string,
  sessions: readonly string[],
  operation: Operation,
): Promise<Answer> {
  const kv = `/v1/kv/${prefix}`;
  switch (operation.kind) {
    case "txn": {
      const parts = await Promise.all(
        operation.parts.map((part) => txnPart(consul, prefix, sessions, part)),
      );
      return consul.send("PUT", "/v1/txn", JSON.stringify(parts));
    }
    case "destroy":
      return consul.send("PUT", `/v1/session/destroy/${sessions[operation.session] ?? ""}`);
    case "list":
      return consul.send("GET", `${kv}${operation.prefix}?recurse`);
    case "put":
    case "acquire":
    case "release":
    case "cas":
    case "delete":
    case "deleteCas":
    case "deleteBelow": {
      const { kind, key, value } = operation;
      const session = sessions[operation.session] ?? "";
      const index = await namedIndex(consul, prefix, operation);
      const path = kv + key;
      if (kind === "put") return consul.send("PUT", path, value);
      if (kind === "cas") return consul.send("PUT", `${path}?cas=${index}`, value);
      if (kind === "delete") return consul.send("DELETE", path);
      if (kind === "deleteCas") return consul.send("DELETE", `${path}?cas=${index}`);
      if (kind === "deleteBelow") return consul.send("DELETE", `${path}?recurse`);
      return consul.send("PUT", `${path}?${kind}=${session}`, value);
    }
  }
}

async function txnPart(
  consul: ConsulUnderTest,
  prefix: string,
  sessions: readonly string[],
  part: TxnPart,
): Promise<unknown> {
  return {
    KV: {
      Verb: part.verb,
      Key: prefix + part.key,
      Value: Buffer.from(part.value).toString("base64"),
      Session: sessions[part.session],
      Index: Number(await namedIndex(consul, prefix, part)),
    },
  };
}

async function namedIndex(
  { client }: ConsulUnderTest,
  prefix: string,
  { key, index }: Pick<TxnPart, "key" | "index">,
): Promise<bigint> {
  if (index === "none") return 0n;
  const right = (await client.kv.get(prefix + key)).value?.modifyIndex ?? 0n;
  return index === "right" ? right : right + WRONG_BY;
}

function show(answer: Answer): string {
  const index = answer.header("x-consul-index");
  return `${answer.status} ${answer.body}${index === undefined ? "" : ` at index ${index}`}`;
}

/** The answers with the sessions' numbers for their IDs, and indexes by their order. */
function comparable(answers: readonly string[], sessions: readonly string[]): string[] {
  // The numbers of locks and operations are none of them.
  const anIndex =
    /(?<="(?:Create|Modify)Index":|at index |current modify index (?:\d+ != )?)[1-9]\d*/g;
  const indexes = answers.flatMap((answer) => answer.match(anIndex) ?? []);
  const order = [...new Set(indexes.map(BigInt))].sort((a, b) => (a < b ? -1 : 1));
  return answers.map((answer) =>
    answer
      .replace(anIndex, (index) => `#${order.indexOf(BigInt(index))}`)
      .replace(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (id) => {
        const number = sessions.indexOf(id);
        return number < 0 ? id : `session ${number}`;
      }),
  );
}
