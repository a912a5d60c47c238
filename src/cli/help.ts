import type { CommandName } from "./arguments.js";

const MAIN = `
Usage: consul-semaphore COMMAND PREFIX [OPTION...]

  inspect PREFIX                         who holds the slots, and who waits
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

Shows the limit, the holders and the waiters (in order): what each gave as its
value, the node of its session, and Consul's index when it came, or got its
slot. Dead holders' sessions have ended: their slots go to who comes next.

  --json   the same for programs
`,
  watch: `watch PREFIX

Shows who waits, takes a slot and gives it back, until a signal ends it: a line
for each event in a pipe, a screen in a terminal. Times are those of this view.
`,
  run: `run PREFIX --limit N [OPTION...] -- COMMAND [ARG...]

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
`,
  resize: `resize PREFIX N

Sets the limit in Consul. Nobody loses a slot. Contenders that do not adopt the
limit in Consul are refused if they have another.
`,
  destroy: `destroy PREFIX

Deletes the lock entry, and with it the limit, unless anybody holds a slot.
`,
};

export function helpOf(command: CommandName | undefined): string {
  const text = command === undefined ? MAIN : `Usage: consul-semaphore ${COMMANDS[command]}`;
  return text.trim();
}
