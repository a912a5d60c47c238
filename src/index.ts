export { ConsulClient } from "./client.js";
export type { ConsulClientConfig } from "./consul/config/config.js";
export { ConsulConfigError } from "./consul/config/config-error.js";
export {
  ConsulError,
  type ConsulErrorCode,
  type ConsulErrorDetails,
} from "./consul/http/consul-error.js";
export type { HttpBasicAuth } from "./consul/config/credentials.js";
export type { Duration } from "./consul/duration.js";
export type { SemaphoreClient } from "./client-context.js";
export type { ConsulEndpoints } from "./consul/endpoints.js";
export type { ConsulTlsConfig } from "./consul/config/tls-settings.js";
export { KV, type KVEntry, type KVWrite } from "./consul/kv.js";
export type { QueryMeta, QueryOptions, QueryResult } from "./consul/query.js";
export type { RequestOptions } from "./consul/http/request-options.js";
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
export { DEFAULT_SEMAPHORE_KEY } from "./protocol/keys.js";
export { SEMAPHORE_FLAG_VALUE } from "./protocol/lock-entry.js";
export type { Contender, SemaphoreState } from "./protocol/semaphore-state.js";
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
  SemaphoreTimeoutError,
  type SemaphoreLostReason,
  type SemaphoreRequestErrorCode,
} from "./errors.js";
export {
  DEFAULT_MONITOR_RETRY_TIME,
  DEFAULT_SEMAPHORE_SESSION_NAME,
  DEFAULT_SEMAPHORE_SESSION_TTL,
  DEFAULT_SEMAPHORE_WAIT_TIME,
  type CloseOptions,
  type SemaphoreOptions,
  type SemaphoreWait,
} from "./options.js";
export type { SemaphoreSlot } from "./slot.js";
export { Semaphore } from "./semaphore.js";
