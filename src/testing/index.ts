export { TestConsul, type TestConsulOptions } from "./test-consul.js";
