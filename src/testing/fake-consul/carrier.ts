/** A request on its way to Consul. */
export interface HttpRequest {
  readonly method: string;
  /** With the query, encoded as on the wire. */
  readonly path: string;
  /** The bytes of the body, one character each: a value need not be text. */
  readonly body: string;
}

/** An answer on its way back. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Text; it goes over the wire as UTF-8. */
  readonly body: string;
}

/** Who waits for the answer. It hears of one answer or of one error. */
export interface Receiver {
  response(response: HttpResponse): void;
  error(error: Error): void;
}

/** Takes a request on its way; the returned function says that the client has given up on it. */
export type Carrier = (request: HttpRequest, receiver: Receiver) => () => void;
