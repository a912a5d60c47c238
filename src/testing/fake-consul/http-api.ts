import type { HttpRequest, HttpResponse, Receiver } from "./carrier.js";
import { bare, HttpFailure, json, text } from "./answers.js";
import type { Query } from "./blocking-queries.js";
import { HttpCall } from "./http-call.js";
import { indented } from "./json-text.js";
import { KV_PATH, kvEndpoint } from "./kv-endpoint.js";
import type { Server } from "./server.js";
import {
  CREATE_PATH,
  createSession,
  DESTROY_PATH,
  destroySession,
  INFO_PATH,
  LIST_PATH,
  listSessions,
  RENEW_PATH,
  renewSession,
  sessionInfo,
} from "./session-endpoints.js";
import { NODE } from "./state-store.js";
import { StateError } from "./state-error.js";
import { TXN_PATH, txnEndpoint } from "./txn-endpoint.js";
import { Uint64Error } from "./uint64.js";

interface Endpoint {
  /** Matches all paths below it if it ends with a slash. */
  readonly path: string;
  readonly methods: readonly string[];
  readonly serve: (call: HttpCall, server: Server) => HttpResponse | Query;
}

const ENDPOINTS: readonly Endpoint[] = [
  { path: KV_PATH, methods: ["GET", "PUT", "DELETE"], serve: kvEndpoint },
  { path: TXN_PATH, methods: ["PUT"], serve: txnEndpoint },
  { path: CREATE_PATH, methods: ["PUT"], serve: createSession },
  { path: DESTROY_PATH, methods: ["PUT"], serve: destroySession },
  { path: RENEW_PATH, methods: ["PUT"], serve: renewSession },
  { path: INFO_PATH, methods: ["GET"], serve: sessionInfo },
  { path: LIST_PATH, methods: ["GET"], serve: listSessions },
  { path: "/v1/status/leader", methods: ["GET"], serve: leaderStatus },
  { path: "/v1/agent/self", methods: ["GET"], serve: agentSelf },
];

/** The address of the leader, or an empty string. */
function leaderStatus(_call: HttpCall, server: Server): HttpResponse {
  return json(server.leads ? '"127.0.0.1:8300"' : '""');
}

/** What clients such as `consul lock` ask of the agent: its name. */
function agentSelf(): HttpResponse {
  return json(`{"Config":{"Datacenter":"dc1","NodeName":"${NODE}","Server":true}}`);
}

/** Consul's HTTP API. Answers at once, except for waiting queries. */
export class HttpApi {
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
  }

  /** The returned function cancels the request. */
  serve(request: HttpRequest, receiver: Receiver): () => void {
    const nothing = (): void => undefined;
    let call: HttpCall;
    let outcome: HttpResponse | Query;
    try {
      call = new HttpCall(request);
      outcome = this.#route(call);
    } catch (error) {
      receiver.response(answerTo(error));
      return nothing;
    }
    const pretty = call.query.has("pretty") ? prettyFor(receiver) : receiver;
    if (!("read" in outcome)) {
      pretty.response(outcome);
      return nothing;
    }
    if (this.#server.leads) return this.#server.queries.start(outcome, pretty);
    receiver.response(outcome.withoutLeader);
    return nothing;
  }

  #route(call: HttpCall): HttpResponse | Query {
    const endpoint = ENDPOINTS.find(({ path }) =>
      path.endsWith("/") ? call.path.startsWith(path) : call.path === path,
    );
    if (endpoint === undefined) return bare(404);
    const { methods, serve } = endpoint;
    if (methods.includes(call.method)) return serve(call, this.#server);
    const allow = { Allow: ["OPTIONS", ...methods].join(",") };
    if (call.method === "OPTIONS") return bare(200, allow);
    return text(405, `method ${call.method} not allowed`, allow);
  }
}

function answerTo(error: unknown): HttpResponse {
  if (error instanceof HttpFailure) return error.response;
  if (error instanceof StateError || error instanceof Uint64Error) return text(500, error.message);
  throw error;
}

function prettyFor(receiver: Receiver): Receiver {
  return {
    response: (response) => {
      const isJson = response.headers["Content-Type"] === "application/json";
      receiver.response(isJson ? { ...response, body: `${indented(response.body)}\n` } : response);
    },
    error: (error) => {
      receiver.error(error);
    },
  };
}
