import { jsonFields, jsonValue } from "./json-fields.js";

/** An error whose fields survive `structuredClone`, `postMessage` and JSON. */
export interface CloneableError extends Error {
  /** Its fields, and its cause, without the stack. */
  toJSON(): Record<string, unknown>;
}

export interface CloneableErrorConstructor extends Pick<ErrorConstructor, "prototype"> {
  /** Makes an error as the library throws it. */
  new (message: string, options?: ErrorOptions): CloneableError;
}

/**
 * The base of errors that can be cloned. Of a native error, `structuredClone` drops all own fields;
 * these inherit from `Native`, but are ordinary objects.
 */
export function cloneable(Native: ErrorConstructor): CloneableErrorConstructor {
  class Cloneable extends Native {
    constructor(message: string, options: ErrorOptions = {}) {
      super();
      this.message = message;
      // As of any error, neither this nor the stack is enumerable.
      if ("cause" in options) {
        const { cause: value } = options;
        Object.defineProperty(this, "cause", { value, writable: true, configurable: true });
      }
      Error.captureStackTrace(this, new.target);
    }

    toJSON(): Record<string, unknown> {
      const { name, cause } = this;
      return {
        ...{ name, ...jsonFields(this) },
        ...(cause instanceof Error && { cause: jsonValue(cause) }),
      };
    }
  }
  const ordinary = function (): void {
    // What `super()` calls: it makes an ordinary object.
  };
  Object.setPrototypeOf(ordinary, Native);
  Object.setPrototypeOf(Cloneable, ordinary);
  return Cloneable;
}
