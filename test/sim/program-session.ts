import type { FakeConsul } from "../../src/testing/fake-consul/fake-consul.js";
import { SEMAPHORE_FLAGS } from "./lock-entry.js";
import { PREFIX, programSessionName } from "./scenario.js";

/** The session that a program makes by itself, without the library; "" where there is no leader. */
export function createProgramSession(consul: FakeConsul, user: string, ttl: number | null): string {
  const body = JSON.stringify({
    Name: programSessionName(user),
    Behavior: "delete",
    ...(ttl === null ? {} : { TTL: `${ttl}ms` }),
  });
  const answer = put(consul, "/v1/session/create", body);
  return /"ID":\s*"([^"]+)"/.exec(answer)?.[1] ?? "";
}

/** Puts a session into the queue, as a contender of the library's does. */
export function enterQueue(consul: FakeConsul, session: string, user: string): void {
  const key = `${PREFIX}/${session}`;
  put(consul, `/v1/kv/${key}?acquire=${session}&flags=${SEMAPHORE_FLAGS}`, user);
}

function put(consul: FakeConsul, path: string, body: string): string {
  let answer = "";
  consul.carrier(
    { method: "PUT", path, body },
    {
      response: (response) => {
        answer = response.body;
      },
      error: () => undefined,
    },
  );
  return answer;
}
