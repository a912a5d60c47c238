import type { CommandName } from "./arguments.js";

const MAIN = `
Usage: consul-semaphore COMMAND PREFIX [OPTION...]

  inspect PREFIX                         who holds the slots, and who waits
  watch PREFIX                           the same, live
  run PREFIX --limit N -- CMD [ARG...]   run a command that holds a slot
  resize PREFIX N                        set the limit in Consul
  destroy PREFIX                         delete the lock entry, and so the limit
COMMAND --help says more; --version prints the version.

Connection, as of Consul's CLI (-http-addr=... is understood as well):
  --http-addr ADDR         CONSUL_HTTP_ADDR, or 127.0.0.1:8500
  --token-file FILE        CONSUL_HTTP_TOKEN_FILE: the ACL token
  --token TOKEN            CONSUL_HTTP_TOKEN; others on the machine can see it
  --ca-file FILE           CONSUL_CACERT; for https:// in the address
  --ca-path FOLDER         CONSUL_CAPATH
  --client-cert FILE       CONSUL_CLIENT_CERT
  --client-key FILE        CONSUL_CLIENT_KEY
  --tls-server-name NAME   CONSUL_TLS_SERVER_NAME
  --datacenter NAME, --namespace NAME, --partition NAME

Exit codes: 64 usage, 69 Consul unreachable, 75 no slot in time, 76 slot lost,
77 refused; of run otherwise that of the command.
`;

const COMMANDS: Readonly<Record<CommandName, string>> = {
  inspect: `
Usage: consul-semaphore inspect PREFIX [--json]

Shows the limit, the holders and the waiters (in order) of a semaphore: what
each gave as its value, the node of its session, and Consul's index when it
came. A holder that uses this library has the index of its slot, which is its
fencing token. Dead holders are in the lock entry still, but their sessions have
ended: whoever comes next takes their slots.

  --json   the same for programs
`,
  watch: `
Usage: consul-semaphore watch PREFIX

Shows who waits for a slot, takes one and gives it back, until you end it: a
line for each event in a pipe, a screen in a terminal (Ctrl-C leaves it). Times
are those of this view. What comes and goes between two readings of Consul is
not seen.
`,
  run: `
Usage: consul-semaphore run PREFIX --limit N [OPTION...] -- COMMAND [ARG...]

Waits for a slot, runs the command in it, and ends with the command's exit code.
The command is run as it is, without a shell, and finds the slot's token in
CONSUL_SEMAPHORE_FENCING_TOKEN. Signals are handed on to it. When the slot is
lost, the command gets SIGTERM, and SIGKILL after the grace time.

  --limit N        how many may hold a slot; the same for all (also -n N)
  --adopt-limit    go by the limit in Consul, and by N only where there is none
  --timeout TIME   give up waiting after that time, such as 30s or 1h
  --try            do not wait at all
  --grace TIME     from SIGTERM to SIGKILL when the slot is lost; default 5s
  --ttl TIME       TTL of the session, which an outage may last; default 15s

Exit codes: that of the command, or 128+N when signal N has ended it (or the
wait), 126 and 127 when it cannot be run or found; 64 usage, 69 Consul
unreachable, 75 no slot in time, 76 slot lost, 77 refused.
`,
  resize: `
Usage: consul-semaphore resize PREFIX N

Sets the limit in Consul. Nobody loses a slot. Contenders that do not adopt the
limit in Consul, and those of other programs, are refused if they have another.
`,
  destroy: `
Usage: consul-semaphore destroy PREFIX

Deletes the lock entry, and with it the limit. Refused while anybody holds a
slot. It is never necessary.
`,
};

export function helpOf(command: CommandName | undefined): string {
  return (command === undefined ? MAIN : COMMANDS[command]).trim();
}
