import { onAbort } from "./on-abort.js";

/** A signal that aborts with whichever of two comes first, until it is disposed of. */
export interface EitherSignal {
  readonly signal: AbortSignal;
  dispose(): void;
}

/** `AbortSignal.any`, but that a signal which lives long carries nothing of those that do not. */
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
