import type { HttpRequest } from "../../src/testing/fake-consul/carrier.js";
import { PREFIX } from "./scenario.js";

const CONTENDER_KEY = new RegExp(`${PREFIX}/([0-9a-f-]{36})`, "g");
const CONTENDER_IN_BODY = new RegExp(`${PREFIX}/([0-9a-f-]{36})`);

/** The sessions whose contender entries a request is about. */
export function contendersIn({ path, body }: HttpRequest): readonly string[] {
  return [...`${path} ${body}`.matchAll(CONTENDER_KEY)].map(([, session = ""]) => session);
}

/** The session whose slot a transaction passes on to the next call that waits for one. */
export function passesOn({ body }: HttpRequest): string | undefined {
  const isPassedOn =
    body.includes('"Verb":"cas"') &&
    body.includes('"Verb":"check-session"') &&
    !/"Verb":"(lock|delete)"/.test(body);
  return isPassedOn ? CONTENDER_IN_BODY.exec(body)?.[1] : undefined;
}

/** Whether a transaction enters the queue, and nothing more. */
export function makesContender({ body }: HttpRequest): boolean {
  return body.includes('"Verb":"lock"') && !body.includes('"Verb":"cas"');
}

/** The session that the answer to a request shows to be alive, and its TTL to have begun anew. */
export function renewedSession(path: string, body: string): string | undefined {
  const [, renewed] = /^\/v1\/session\/renew\/([0-9a-f-]{36})/.exec(path) ?? [];
  if (renewed !== undefined) return renewed;
  if (!path.startsWith("/v1/session/create")) return undefined;
  return /"ID":\s*"([0-9a-f-]{36})"/.exec(body)?.[1];
}
