// What the process is like once the package is loaded: as before. With "undici-first", the program's
// own undici is loaded before, else after.
const { createServer } = require("node:http");

const state = () => ({
  globals: Reflect.ownKeys(globalThis).map(String),
  listeners: process.eventNames().map((name) => `${String(name)} ${process.listenerCount(name)}`),
  variables: Object.keys(process.env),
  stackTraceLimit: [String(Error.stackTraceLimit)],
  prototypes: [Object, Array, Promise, Error, Map, AbortSignal].flatMap(({ name, prototype }) =>
    Reflect.ownKeys(prototype).map((key) => `${name}.${String(key)}`),
  ),
});

const isFirst = process.argv[2] === "undici-first";
if (isFirst) require("undici");
const before = state();
require("consul-semaphore");
require("consul-semaphore/testing");
const after = state();
const changes = Object.entries(after).flatMap(([kind, values]) =>
  values.filter((value) => !before[kind].includes(value)).map((value) => `${kind}: ${value}`),
);

const server = createServer((request, response) => request.pipe(response));
server.listen(0, "127.0.0.1", async () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const body = { method: "POST", headers: { "content-length": "2" }, body: "hi" };
  const answers = [];
  if (!isFirst) answers.push(await (await fetch(url, body)).text());
  const { Agent, request } = require("undici");
  const dispatcher = new Agent();
  answers.push(await (await request(url, { ...body, dispatcher })).body.text());
  await dispatcher.close();
  server.close();
  server.closeAllConnections();
  process.stdout.write(JSON.stringify({ changes, answers }));
});
