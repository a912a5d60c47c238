import { STATUS_CODES } from "node:http";

import { Dispatcher, errors } from "../../consul/http/undici.js";

import type { Carrier, HttpResponse, Receiver } from "./carrier.js";

/**
 * An undici dispatcher without a network: a carrier takes the requests and returns the answers. It
 * has no timers, so that the carrier alone controls time.
 */
export class CarriedDispatcher extends Dispatcher {
  readonly #carrier: Carrier;
  readonly #pending = new Set<Exchange>();
  /** Translates undici's older handlers, which `request` passes, to the newer ones. */
  readonly #translating: Dispatcher;
  #ended: Error | undefined;

  constructor(carrier: Carrier) {
    super();
    this.#carrier = carrier;
    this.#translating = this.compose(() => (options, handler) => this.#carry(options, handler));
  }

  override dispatch(
    options: Dispatcher.DispatchOptions,
    handler: Dispatcher.DispatchHandler,
  ): boolean {
    return this.#translating.dispatch(options, handler);
  }

  /** Rejects pending and later requests. */
  override close(): Promise<void>;
  override close(callback: () => void): void;
  override close(callback?: () => void): Promise<void> | undefined {
    return this.#end(new errors.ClientClosedError(), callback);
  }

  /** Rejects pending and later requests. */
  override destroy(error?: Error | null): Promise<void>;
  override destroy(callback: () => void): void;
  override destroy(error: Error | null, callback: () => void): void;
  override destroy(
    errorOrCallback?: Error | null | (() => void),
    callback?: () => void,
  ): Promise<void> | undefined {
    return typeof errorOrCallback === "function"
      ? this.#end(new errors.ClientDestroyedError(), errorOrCallback)
      : this.#end(errorOrCallback ?? new errors.ClientDestroyedError(), callback);
  }

  #carry(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const exchange = new Exchange(handler, () => this.#pending.delete(exchange));
    this.#pending.add(exchange);
    if (this.#ended !== undefined) exchange.error(this.#ended);
    else exchange.start(this.#carrier, options);
    return true;
  }

  #end(error: Error, callback: (() => void) | undefined): Promise<void> | undefined {
    this.#ended ??= error;
    for (const exchange of [...this.#pending]) exchange.abort(error);
    if (callback === undefined) return Promise.resolve();
    // Not by `queueMicrotask`: a fake of it would wait for the test to run it.
    void Promise.resolve().then(callback);
    return undefined;
  }
}

/** One request with its answer, controlled by undici's handlers. */
class Exchange implements Dispatcher.DispatchController, Receiver {
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #whenOver: () => void;
  #cancel: () => void = () => undefined;
  #over = false;
  #reason: Error | null = null;
  #paused = false;

  constructor(handler: Dispatcher.DispatchHandler, whenOver: () => void) {
    this.#handler = handler;
    this.#whenOver = whenOver;
  }

  get aborted(): boolean {
    return this.#reason !== null;
  }

  get reason(): Error | null {
    return this.#reason;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Holds nothing back, since an answer comes in one piece. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  start(carrier: Carrier, { method, path, body }: Dispatcher.DispatchOptions): void {
    this.#handler.onRequestStart?.(this, {});
    if (this.#over) return;
    let cancel: () => void;
    try {
      cancel = carrier({ method, path, body: bytesOf(body) }, this);
    } catch (error) {
      this.error(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    // The client may have aborted while the carrier answered synchronously.
    if (this.aborted) cancel();
    else this.#cancel = cancel;
  }

  /** Aborts the request for the client. It has no effect after the answer. */
  abort(reason?: Error): void {
    if (this.#over) return;
    this.#reason = reason ?? new errors.RequestAbortedError();
    this.error(this.#reason);
    this.#cancel();
  }

  response({ status, headers, body }: HttpResponse): void {
    if (this.#over) return;
    this.#finish();
    this.#handler.onResponseStart?.(this, status, lowerCased(headers), STATUS_CODES[status] ?? "");
    if (body !== "") this.#handler.onResponseData?.(this, Buffer.from(body));
    this.#handler.onResponseEnd?.(this, {});
  }

  error(error: Error): void {
    if (this.#over) return;
    this.#finish();
    this.#handler.onResponseError?.(this, error);
  }

  #finish(): void {
    this.#over = true;
    this.#whenOver();
  }
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
}

function bytesOf(body: Dispatcher.DispatchOptions["body"]): string {
  if (body === undefined || body === null) return "";
  if (typeof body === "string") return Buffer.from(body).toString("latin1");
  if (body instanceof Uint8Array) {
    return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("latin1");
  }
  throw new errors.NotSupportedError("only text and bytes can be carried, no streams");
}
