export { ConsulClient } from "./consul-client.js";
export type { ConsulClientConfig } from "./consul/config.js";
export { ConsulConfigError } from "./consul/config-error.js";
export {
  ConsulError,
  type ConsulErrorCode,
  type ConsulErrorDetails,
} from "./consul/consul-error.js";
export type { HttpBasicAuth } from "./consul/credentials.js";
export type { Duration } from "./consul/duration.js";
export type { ConsulEndpoints } from "./consul/endpoints.js";
export type { ConsulTlsConfig } from "./consul/tls-settings.js";
export { KV, type KVEntry, type KVWrite } from "./consul/kv.js";
export type { QueryMeta, QueryOptions, QueryResult } from "./consul/query.js";
export type { RequestOptions } from "./consul/request-options.js";
export type { KVOperation, TransactionError, TransactionOutcome } from "./consul/transaction.js";
export { Sessions, type SessionEntry, type SessionSpec } from "./consul/session.js";
export type {
  AcquireEvent,
  HeldEvent,
  LostEvent,
  ReleaseEvent,
  RenewEvent,
  SemaphoreEvent,
  SlotEvent,
  WaitEvent,
} from "./diagnostics.js";
export { DEFAULT_SEMAPHORE_KEY } from "./prefix-keys.js";
export { SEMAPHORE_FLAG_VALUE, type Contender } from "./prefix-snapshot.js";
export {
  SemaphoreClosedError,
  SemaphoreConflictError,
  SemaphoreDecodingError,
  SemaphoreError,
  SemaphoreHeldError,
  SemaphoreInUseError,
  SemaphoreLimitConflictError,
  SemaphoreLostError,
  SemaphoreNotHeldError,
  SemaphoreOptionsError,
  SemaphoreReleasedError,
  SemaphoreRequestError,
  type SemaphoreLostReason,
  type SemaphoreRequestErrorCode,
} from "./semaphore-errors.js";
export {
  DEFAULT_MONITOR_RETRY_TIME,
  DEFAULT_SEMAPHORE_SESSION_NAME,
  DEFAULT_SEMAPHORE_SESSION_TTL,
  DEFAULT_SEMAPHORE_WAIT_TIME,
  type SemaphoreOptions,
} from "./semaphore-options.js";
export type { SemaphoreSlot } from "./semaphore-slot.js";
export { Semaphore, type SemaphoreState } from "./semaphore.js";
