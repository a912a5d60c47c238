const { ConsulClient } = require("consul-semaphore");

try {
  new ConsulClient({ address: "ftp://127.0.0.1" });
} catch (error) {
  console.log(error.stack);
}
