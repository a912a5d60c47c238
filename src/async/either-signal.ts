import { onAbort } from "./on-abort.js";

/** A signal that aborts with the first of two signals, until it is disposed of. */
export interface EitherSignal {
  readonly signal: AbortSignal;
  dispose(): void;
}

/** Like `AbortSignal.any`, but disposable, so that a long-lived signal keeps no reference. */
export function eitherSignal(one: AbortSignal | undefined, other: AbortSignal): EitherSignal {
  if (one === undefined) return { signal: other, dispose: () => undefined };
  const controller = new AbortController();
  const offs = [one, other].map((signal) =>
    onAbort(signal, () => {
      controller.abort(signal.reason);
    }),
  );
  return {
    signal: controller.signal,
    dispose: () => {
      for (const off of offs) off();
    },
  };
}
