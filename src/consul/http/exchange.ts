import type { Dispatcher } from "undici";

import type { Ending } from "../../async/cancellation.js";
import { onAbort } from "../../async/on-abort.js";

/** A complete answer. */
export interface RawAnswer {
  readonly status: number;
  /** By lower-case names. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** An answer that exceeds the size limit. */
export class AnswerTooLongError extends Error {
  override readonly name = "AnswerTooLongError";

  constructor(bytes: number) {
    super(`response exceeds ${bytes} bytes`);
  }
}

/**
 * Sends a request and reads the whole answer. undici's own `request` also makes a stream, which
 * costs more than all the rest for Consul's small answers.
 *
 * @throws the signal's reason, at once, even while undici is still connecting; AnswerTooLongError
 *   for more than `maxBytes`; undici's own errors
 */
export function exchange(
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  { signal, maxBytes }: { readonly signal: Ending; readonly maxBytes: number },
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    let controller: Dispatcher.DispatchController | undefined;
    let status = 0;
    let headers: RawAnswer["headers"] = {};
    const chunks: Buffer[] = [];
    let bytes = 0;
    const end = (settle: () => void): void => {
      off();
      settle();
    };
    const abort = (reason: unknown): void => {
      end(() => {
        reject(reason);
      });
      controller?.abort(reason instanceof Error ? reason : new Error("aborted"));
    };
    const off = onAbort(signal, () => {
      abort(signal.reason);
    });
    dispatcher.dispatch(options, {
      onRequestStart: (given) => {
        controller = given;
        if (signal.aborted) given.abort(new Error("aborted"));
      },
      onResponseStart: (_, statusCode, given) => {
        // A status below 200 is informational: the answer follows.
        if (statusCode < 200) return;
        status = statusCode;
        headers = given;
      },
      onResponseData: (_, chunk) => {
        bytes += chunk.length;
        if (bytes > maxBytes) abort(new AnswerTooLongError(maxBytes));
        else chunks.push(chunk);
      },
      onResponseEnd: () => {
        end(() => {
          const [first, ...others] = chunks;
          const body = others.length > 0 ? Buffer.concat(chunks) : first;
          resolve({ status, headers, body: body?.toString() ?? "" });
        });
      },
      onResponseError: (_, error) => {
        end(() => {
          reject(error);
        });
      },
    });
  });
}
