import type { HttpResponse } from "./carrier.js";
import { HttpFailure, json, NO_LEADER, readHeaders, text } from "./answers.js";
import type { Query } from "./blocking-queries.js";
import type { HttpCall } from "./http-call.js";
import { JsonBodyError } from "./json-body.js";
import { jsonArray } from "./json-text.js";
import { queryOptionsOf, type QueryOptions } from "./query-options.js";
import type { Server } from "./server.js";
import { sessionKey } from "./session-id.js";
import { parseSessionRequest, type SessionRequest } from "./session-request.js";
import type { SessionFinding } from "./session-table.js";
import { sessionJson } from "./session.js";
import { StateError } from "./state-error.js";
import type { StateStore } from "./state-store.js";

export const CREATE_PATH = "/v1/session/create";
export const DESTROY_PATH = "/v1/session/destroy/";
export const RENEW_PATH = "/v1/session/renew/";
export const INFO_PATH = "/v1/session/info/";
export const LIST_PATH = "/v1/session/list";

export function createSession({ body }: HttpCall, server: Server): HttpResponse {
  const request = readRequest(body);
  server.requireLeader();
  return json(`{"ID":"${server.createSession(request)}"}`);
}

/** Answers true even if there is no such session. */
export function destroySession({ path }: HttpCall, server: Server): HttpResponse {
  const id = idIn(path, DESTROY_PATH);
  server.requireLeader();
  server.destroySession(id);
  return json("true");
}

export function renewSession(call: HttpCall, server: Server): HttpResponse {
  queryOptionsOf(call);
  const id = idIn(call.path, RENEW_PATH);
  server.requireLeader();
  const session = server.raft.leader.sessions.get(id);
  if (session === undefined) return text(404, `Session id '${id}' not found`);
  server.renewSession(session);
  return json(jsonArray([sessionJson(session)]));
}

export function sessionInfo(call: HttpCall): Query {
  const options = queryOptionsOf(call);
  const id = idIn(call.path, INFO_PATH);
  try {
    sessionKey(id);
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    throw new HttpFailure(failedRead(error.message));
  }
  return sessionQuery(options, ({ sessions }) => sessions.lookUp(id));
}

export function listSessions(call: HttpCall): Query {
  return sessionQuery(queryOptionsOf(call), ({ sessions }) => sessions.list());
}

function sessionQuery(options: QueryOptions, find: (store: StateStore) => SessionFinding): Query {
  return {
    options,
    withoutLeader: failedRead(NO_LEADER),
    read: (store) => {
      const finding = find(store);
      return {
        index: finding.index < 1n ? 1n : finding.index,
        answer: () =>
          json(jsonArray(finding.sessions.map(sessionJson)), {
            headers: readHeaders(finding.index),
          }),
        watch: () => {
          const wakes = finding.watch();
          return (changes) => changes.sessions.size > 0 && wakes(changes.sessions);
        },
      };
    },
  };
}

/** A failed read. These endpoints set the headers of a read even then, with default values. */
function failedRead(problem: string): HttpResponse {
  return text(500, problem, readHeaders(0n, false));
}

function readRequest(body: string): SessionRequest {
  try {
    return parseSessionRequest(body);
  } catch (error) {
    if (!(error instanceof JsonBodyError)) throw error;
    throw new HttpFailure(text(400, `Request decode failed: ${error.message}`));
  }
}

function idIn(path: string, prefix: string): string {
  const id = path.slice(prefix.length);
  if (id === "") throw new HttpFailure(text(400, "Missing session"));
  return id;
}
