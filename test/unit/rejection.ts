import { ConsulError } from "../../src/consul/http/consul-error.js";

/** What a promise rejects with; an error of its own where it resolves. */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`expected a rejection, but it resolved to ${JSON.stringify(value)}`);
}

/** The ConsulError that a promise rejects with; any other outcome fails. */
export async function consulErrorOf(promise: Promise<unknown>): Promise<ConsulError> {
  const error = await rejectionOf(promise);
  if (error instanceof ConsulError) return error;
  throw new Error("expected a ConsulError", { cause: error });
}
