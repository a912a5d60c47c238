import { expect, test } from "vitest";

import {
  ConsulConfigError,
  ConsulError,
  SemaphoreConflictError,
  SemaphoreInUseError,
  SemaphoreLimitConflictError,
  SemaphoreLostError,
  SemaphoreOptionsError,
  SemaphoreRequestError,
  SemaphoreTimeoutError,
  type ConsulErrorDetails,
} from "../../../src/index.js";
import { withPrefix } from "../../../src/errors.js";
import { UsageError } from "../../../src/cli/exit-error.js";
import { failureOf } from "../../../src/cli/failure.js";
import { interruption } from "../../../src/cli/signals.js";

const request = { method: "GET", path: "/v1/kv/jobs" } as const;

function consulError(details: Pick<ConsulErrorDetails, "code" | "status" | "text">): ConsulError {
  return new ConsulError("GET /v1/kv/jobs: failed", { ...request, ...details });
}

const denied = consulError({ code: "CONSUL_STATUS", status: 403, text: "Permission denied" });
const refused = consulError({ code: "CONSUL_UNREACHABLE" });

test.each<[string, Error, number]>([
  ["a wrong command line", new UsageError("x"), 64],
  ["a wrong option of the semaphore", new SemaphoreOptionsError("x"), 64],
  ["a wrong option of the client", new ConsulConfigError("x"), 64],
  ["no connection", refused, 69],
  [
    "no connection, in a semaphore",
    new SemaphoreRequestError("SEMAPHORE_READ_FAILED", refused),
    69,
  ],
  ["no answer in time", consulError({ code: "CONSUL_TIMEOUT" }), 69],
  ["no leader", consulError({ code: "CONSUL_STATUS", status: 500, text: "No cluster leader" }), 69],
  ["another server", consulError({ code: "CONSUL_BAD_ANSWER", status: 200, text: "<html>" }), 69],
  ["a defect", new RangeError("x"), 70],
  ["no slot in time", new SemaphoreTimeoutError("jobs", "3s"), 75],
  ["a lost slot", new SemaphoreLostError("session-expired"), 76],
  // Its cause does not make it an outage.
  ["a slot lost in an outage", new SemaphoreLostError("monitor-failed", refused), 76],
  ["a denied permission", denied, 77],
  ["the same, in a semaphore", new SemaphoreRequestError("SEMAPHORE_READ_FAILED", denied), 77],
  ["another limit", new SemaphoreLimitConflictError(3, 2), 77],
  ["something else at the prefix", new SemaphoreConflictError(), 77],
  ["a semaphore in use", new SemaphoreInUseError(), 77],
  ["a signal", interruption("SIGTERM"), 143],
])("%s has an exit code of its own, and one line", (_, error, exitCode) => {
  const failure = failureOf(error);
  expect(failure.exitCode).toBe(exitCode);
  expect(failure.line).not.toBe("");
  expect(failure.line).not.toMatch(/\p{Cc}/u);
});

test.each<[Error, string]>([
  [
    withPrefix(new SemaphoreLimitConflictError(3, 2), "jobs/resize"),
    'the limit of "jobs/resize" is 3, not 2: use it, or --adopt-limit, or resize jobs/resize 2',
  ],
  [
    withPrefix(new SemaphoreInUseError(), "jobs/resize"),
    '"jobs/resize" is in use: its holders have to release first; inspect jobs/resize shows them',
  ],
  [
    new SemaphoreTimeoutError("jobs/resize", "3s", { held: 2, limit: 2, ahead: 1 }),
    'no slot of "jobs/resize" within 3s: 2 of 2 held, 1 ahead; inspect jobs/resize shows who holds',
  ],
  [
    new SemaphoreTimeoutError("jobs/tokenFile", 0),
    'no slot of "jobs/tokenFile" within 0s; inspect jobs/tokenFile shows who holds',
  ],
  [
    withPrefix(new SemaphoreInUseError(), "jobs/tokenFile"),
    '"jobs/tokenFile" is in use: its holders have to release first; inspect jobs/tokenFile shows them',
  ],
  [
    new SemaphoreOptionsError("invalid SessionTTL: sessionTTL: 50 ms is below Consul's 10s"),
    "--ttl is not within what Consul takes, by default 10s to 24h",
  ],
  [
    new ConsulConfigError("tls.certFile requires the key of the certificate: set tls.keyFile"),
    "--client-cert requires the key of the certificate: set --client-key",
  ],
  [
    new ConsulConfigError('invalid address "zip://": unknown scheme "zip"'),
    'invalid --http-addr "zip://": unknown scheme "zip"',
  ],
  [new UsageError("run needs a command"), "run needs a command (see --help)"],
])("the advice is about commands: %s", (error, line) => {
  expect(failureOf(error).line).toBe(line);
});

test("what others wrote does not steer the terminal", () => {
  expect(failureOf(new Error("a\u001b[2J\nb\u0007\u202ec")).line).toBe("a [2J b c");
});
