/** A request to Consul. */
export interface HttpRequest {
  readonly method: string;
  /** With the query, encoded as on the wire. */
  readonly path: string;
  /** The bytes of the body, one character each: a value need not be text. */
  readonly body: string;
}

/** An answer from Consul. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Text, which is sent as UTF-8. */
  readonly body: string;
}

/** Receives the outcome of a request: one answer or one error. */
export interface Receiver {
  response(response: HttpResponse): void;
  error(error: Error): void;
}

/** Sends a request to Consul. The returned function cancels it, as an abort by the client does. */
export type Carrier = (request: HttpRequest, receiver: Receiver) => () => void;
