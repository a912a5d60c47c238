// Prints the path of a consul binary, for scripts.
import { consulCli } from "./consul-cli.js";
import { messageOf } from "./error-message.js";

try {
  console.log(await consulCli());
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}
