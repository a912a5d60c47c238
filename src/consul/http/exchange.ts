import type { Dispatcher } from "undici";

import { onAbort } from "../../async/on-abort.js";

/** What came back, whole. */
export interface RawAnswer {
  readonly status: number;
  /** By their lower-case names. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** An answer that goes on and on. */
export class AnswerTooLongError extends Error {
  override readonly name = "AnswerTooLongError";

  constructor(bytes: number) {
    super(`the answer is longer than ${bytes} bytes`);
  }
}

/**
 * Makes a request, and reads its answer to the end. This is what undici's own `request` does, but
 * for the stream between the two, which costs more than all the rest: Consul's answers are small.
 *
 * @throws the signal's reason, at once, also where undici has no connection yet to hear of it;
 *   AnswerTooLongError for more than `mostBytes`; and what undici fails with
 */
export function exchange(
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  { signal, mostBytes }: { readonly signal: AbortSignal; readonly mostBytes: number },
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
    const giveUp = (reason: unknown): void => {
      end(() => {
        reject(reason);
      });
      controller?.abort(reason instanceof Error ? reason : new Error("given up"));
    };
    const off = onAbort(signal, () => {
      giveUp(signal.reason);
    });
    dispatcher.dispatch(options, {
      onRequestStart: (given) => {
        controller = given;
        if (signal.aborted) given.abort(new Error("given up"));
      },
      onResponseStart: (_, statusCode, given) => {
        // Those below 200 announce the answer.
        if (statusCode < 200) return;
        status = statusCode;
        headers = given;
      },
      onResponseData: (_, chunk) => {
        bytes += chunk.length;
        if (bytes > mostBytes) giveUp(new AnswerTooLongError(mostBytes));
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
