import { STATUS_CODES } from "node:http";

import { Dispatcher, errors } from "undici";

import type { Carrier, HttpResponse, Receiver } from "./carrier.js";

/**
 * An undici dispatcher without a network: a carrier takes the requests and brings the answers. It
 * has no timers, so that whoever carries has all time in their hands.
 */
export class CarriedDispatcher extends Dispatcher {
  readonly #carrier: Carrier;
  readonly #underWay = new Set<Exchange>();
  /** undici's own translation of the older handlers, which `request` passes, to the newer ones. */
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

  /** Rejects what is under way, and whatever comes after. */
  override close(): Promise<void>;
  override close(callback: () => void): void;
  override close(callback?: () => void): Promise<void> | undefined {
    return this.#end(new errors.ClientClosedError(), callback);
  }

  /** Rejects what is under way, and whatever comes after. */
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
    const exchange = new Exchange(handler, () => this.#underWay.delete(exchange));
    this.#underWay.add(exchange);
    if (this.#ended !== undefined) exchange.error(this.#ended);
    else exchange.start(this.#carrier, options);
    return true;
  }

  #end(error: Error, callback: (() => void) | undefined): Promise<void> | undefined {
    this.#ended ??= error;
    for (const exchange of [...this.#underWay]) exchange.abort(error);
    if (callback === undefined) return Promise.resolve();
    // Fake timers may have taken the place of `queueMicrotask`, and then call nothing by themselves.
    void Promise.resolve().then(callback);
    return undefined;
  }
}

/** One request with its answer, as undici's handlers control it. */
class Exchange implements Dispatcher.DispatchController, Receiver {
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #whenOver: () => void;
  #giveUp: () => void = () => undefined;
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

  /** An answer comes in one piece; there is nothing to hold back. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  start(carrier: Carrier, { method, path, body }: Dispatcher.DispatchOptions): void {
    this.#handler.onRequestStart?.(this, {});
    if (this.#over) return;
    let giveUp: () => void;
    try {
      giveUp = carrier({ method, path, body: bytesOf(body) }, this);
    } catch (error) {
      this.error(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    // The carrier may have answered at once, and the client given up during it.
    if (this.aborted) giveUp();
    else this.#giveUp = giveUp;
  }

  /** The client gives up. Once there is an answer, this comes too late. */
  abort(reason?: Error): void {
    if (this.#over) return;
    this.#reason = reason ?? new errors.RequestAbortedError();
    this.error(this.#reason);
    this.#giveUp();
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
