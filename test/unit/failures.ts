import { onAbort } from "../../src/async/on-abort.js";
import { ConsulError, type ConsulErrorCode } from "../../src/consul/http/consul-error.js";
import type { OwnRequestOptions } from "../../src/consul/http/request-options.js";

/** A failed request, as the client tells of one. */
export function failure(
  code: ConsulErrorCode,
  { status, text }: { readonly status?: number; readonly text?: string } = {},
): ConsulError {
  const details = { code, status, text, method: "PUT", path: "/v1/somewhere" };
  return new ConsulError(`it failed: ${code} ${status ?? ""} ${text ?? ""}`.trim(), details);
}

/** How Consul words a refusal, by status. */
const WORDS: Readonly<Record<number, string>> = {
  400: "Request decode failed: unexpected EOF",
  403: "Permission denied",
};

/** An answer that means failure; without a text it is Consul's own. */
export function refusal(status: number, text = WORDS[status] ?? ""): ConsulError {
  return failure("CONSUL_STATUS", { status, text });
}

const LONGEST_REQUEST_MS = 10_000;

/** A request without an answer: as a client's does, it ends with its time limit or its signal. */
export function hang({ timeout = LONGEST_REQUEST_MS, signal }: OwnRequestOptions): Promise<never> {
  return new Promise((_, reject) => {
    const timer = setTimeout(() => {
      off();
      reject(failure("CONSUL_TIMEOUT"));
    }, timeout);
    const off = onAbort(signal, () => {
      clearTimeout(timer);
      reject(signal?.reason);
    });
  });
}

/** Nothing at all, not even an end. */
export function silence(): Promise<never> {
  return new Promise(() => undefined);
}

/** An answer that comes after a while. */
export function after<Value>(ms: number, value: Value): Promise<Value> {
  return new Promise((resolve) => {
    setTimeout(() => {
      resolve(value);
    }, ms);
  });
}

/** Does what each of the steps does, one a call; the last stays. */
export function inTurn<Args extends readonly unknown[], Result>(
  ...steps: readonly ((...args: Args) => Result)[]
): (...args: Args) => Result {
  let next = 0;
  return (...args) => {
    const step = steps[Math.min(next, steps.length - 1)];
    if (step === undefined) throw new Error("no step was given");
    next += 1;
    return step(...args);
  };
}
