export type { TestConsulListenOptions, TestConsulOptions } from "./options.js";
export { TestConsul, type TestConsulServer } from "./test-consul.js";
