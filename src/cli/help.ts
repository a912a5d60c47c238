import type { CommandName } from "./arguments.js";

const MAIN = `
Usage: consul-semaphore COMMAND PREFIX [OPTION...]

  inspect PREFIX                         the holders and the waiters
  watch PREFIX                           the same, live
  run PREFIX --limit N -- CMD [ARG...]   run a command that holds a slot
  resize PREFIX N                        set the limit in Consul
  destroy PREFIX                         delete the lock entry, and so the limit
COMMAND --help says more; --version prints the version.

Connection, as of Consul's CLI (-http-addr=... will do as well). What is left
out comes from its variables, such as CONSUL_HTTP_ADDR:
  --http-addr ADDR    --ca-file FILE          --datacenter NAME
  --token-file FILE   --ca-path FOLDER        --namespace NAME
  --token TOKEN       --client-cert FILE      --partition NAME
                      --client-key FILE       --tls-server-name NAME

Exit codes: 64 usage, 69 Consul unreachable, 75 no slot in time, 76 slot lost,
77 refused; of run else the command's (128+N: ended by signal N).
`;

const COMMANDS: Readonly<Record<CommandName, string>> = {
  inspect: `inspect PREFIX [--json]

Shows limit, holders and waiters (in order): the value of each, the node of its
session, and Consul's index when it came, or got its slot.

  --json   the same for programs
`,
  watch: `watch PREFIX

The same, live: a line for each event in a pipe, a screen in a terminal.
`,
  run: `run PREFIX --limit N [OPTION...] -- COMMAND [ARG...]

Waits for a slot, runs the command in it, and ends with the command's exit code.
There is no shell. CONSUL_SEMAPHORE_FENCING_TOKEN has the slot's token. Signals
are handed on. When the slot is lost, the command gets SIGTERM, then SIGKILL.

  --limit N        how many may hold a slot; the same for all (also -n N)
  --adopt-limit    go by the limit in Consul, if there is one
  --timeout TIME   give up waiting then, such as 30s or 1h
  --try            do not wait at all
  --grace TIME     from SIGTERM to SIGKILL; default 5s
  --ttl TIME       TTL of the session; default 15s
`,
  resize: `resize PREFIX N

Sets the limit in Consul. Nobody loses a slot. Contenders with another limit are
refused, unless they adopt it.
`,
  destroy: `destroy PREFIX

Deletes the lock entry, and with it the limit, unless anybody holds a slot.
`,
};

export function helpOf(command: CommandName | undefined): string {
  const text = command === undefined ? MAIN : `Usage: consul-semaphore ${COMMANDS[command]}`;
  return text.trim();
}
