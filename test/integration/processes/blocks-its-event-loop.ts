// Acquires, blocks its event loop until the session's time is over, and reports what it hears then:
// blocks-its-event-loop.ts ADDRESS PREFIX PLACE MANNER BLOCK_MS [WHOSE_SESSION]
//
// PLACE is where it blocks, MANNER what it does first of all on waking.
import { setImmediate as nextRound, setTimeout as pause } from "node:timers/promises";

import { ConsulClient, SemaphoreLostError } from "../../../src/index.js";
import { blockEventLoop } from "./block-event-loop.js";
import { onAnswered, onSent, type RequestSign } from "./request-signs.js";
import { WakeUpCall } from "./wake-up-call.js";

const TTL_MS = 2_000;
/** For so long after the end of its term a slot is left alone with an answer that came in time. */
const JUST_LATE_MS = 150;
/** Long enough for Consul on this machine to answer all that has been sent. */
const ANSWERS_ARRIVE_MS = 100;

const [address = "", prefix = "", place = "", manner = "", blockMs = "", whose = "its own"] =
  process.argv.slice(2);
const client = new ConsulClient({ address });
const sessionOptions =
  whose === "the user's"
    ? { session: await client.session.create({ ttl: TTL_MS, behavior: "delete" }) }
    : { sessionTTL: TTL_MS };
const semaphore = client.semaphoreOpts({ prefix, limit: 1, ...sessionOptions });
const other = client.semaphoreOpts({ prefix: `${prefix}-other`, limit: 1, sessionTTL: "60s" });

const events: string[] = [];
let heldOnWaking: boolean | undefined;
let awake = false;
const activities: Promise<unknown>[] = [];

/** When the requests that extend the slot's session were sent, the last one last. */
const extendedAt: number[] = [];
onSent(({ path }) => {
  if (/^\/v1\/session\/(create|renew)/.test(path)) extendedAt.push(performance.now());
});

const slot = await semaphore.acquire();
// Taken now: the slot itself is asked only by who asks.
const { signal } = slot;
signal.addEventListener("abort", () => {
  const reason: unknown = signal.reason;
  events.push(reason instanceof SemaphoreLostError ? `lost: ${reason.reason}` : String(reason));
});
onAnswered(({ path }) => {
  if (awake && path.startsWith("/v1/session/renew/")) events.push("renewal answered");
});

function blockUntil(end: number): void {
  blockEventLoop(end - performance.now());
  if (manner === "asks") heldOnWaking = slot.held;
  awake = true;
  events.push("awake");
  if (manner === "releases") {
    activities.push(semaphore.release().then(() => events.push("released")));
  }
}

function block(): void {
  blockUntil(performance.now() + Number(blockMs));
}

const wakeUpCall = await WakeUpCall.open();

/**
 * Blocks in a callback of I/O, with the answer to a request waiting in its socket as the very next
 * to be read: timers have their turn only after it. Resolves to whether it came to that: the system
 * may bring the answer first, and then nothing is blocked.
 */
async function blockBeforeAnswerTo(
  isRequest: (request: RequestSign) => boolean,
  blockNow: () => void,
): Promise<boolean> {
  return await new Promise<boolean>((resolve) => {
    let state: "awaited" | "sent" | "answered" = "awaited";
    onAnswered((request) => {
      if (state === "sent" && isRequest(request)) state = "answered";
    });
    onSent((request) => {
      if (state !== "awaited" || !isRequest(request)) return;
      state = "sent";
      wakeUpCall.order(() => {
        const waits = state === "sent";
        if (waits) blockNow();
        resolve(waits);
      });
      // Once the request is written: the event loop is to find the call and the answer together.
      queueMicrotask(() => {
        blockEventLoop(ANSWERS_ARRIVE_MS);
      });
    });
  });
}

/** The write that makes a holder is the last step of an acquire. */
const isLastStep = ({ method, path }: RequestSign): boolean =>
  method === "PUT" && /[?&]cas=|^\/v1\/txn/.test(path);
const isRenewal = ({ path }: RequestSign): boolean => path === `/v1/session/renew/${slot.session}`;

switch (place) {
  case "a timer":
    await new Promise<void>((resolve) => {
      setTimeout(() => {
        block();
        resolve();
      }, 300);
    });
    break;
  case "a callback of I/O":
    await new Promise<void>((resolve) => {
      wakeUpCall.order(() => {
        block();
        resolve();
      });
    });
    break;
  case "the continuation of an answer":
    await client.kv.get(`${prefix}/nothing`);
    block();
    break;
  case "a renewal's way":
    while (!(await blockBeforeAnswerTo(isRenewal, block)));
    break;
  case "the way of a renewal in time": {
    const untilJustLate = (): void => {
      // The term before the renewal is over then, and that which the renewal buys is not.
      blockUntil((extendedAt.at(-2) ?? 0) + TTL_MS + JUST_LATE_MS);
    };
    while (!(await blockBeforeAnswerTo(isRenewal, untilJustLate)));
    break;
  }
  case "another acquire's way":
    for (;;) {
      // A socket that has just been read from is looked at first the next time, whatever else has
      // arrived before.
      await nextRound();
      await nextRound();
      const blocked = blockBeforeAnswerTo(isLastStep, block);
      const acquiring = other.acquire();
      if (await blocked) {
        activities.push(
          acquiring.then(({ held }) => {
            events.push(held ? "other acquired" : "other acquired in vain");
          }),
        );
        break;
      }
      await acquiring;
      await other.release();
    }
    break;
  default:
    throw new Error(`no such place: ${place}`);
}

let heldAgain = false;
const observedUntil = performance.now() + 1_000;
await Promise.all(activities);
if (manner === "listens") while (!signal.aborted) await nextRound();
while (performance.now() < observedUntil) {
  heldAgain ||= slot.held;
  await pause(5);
}
if (manner !== "releases") await semaphore.release();
if (other.isHeld) await other.release();
await client.close();
wakeUpCall.close();
process.stdout.write(JSON.stringify({ heldOnWaking, events, heldAgain }));
