// Closing a client ends all that goes on with it, and leaves nothing behind.
import { describe, expect, test } from "vitest";

import { SemaphoreClosedError, SemaphoreReleasedError } from "../../src/index.js";
import { rejectionOf } from "../unit/rejection.js";
import { connect, eventually, expectNothingLeft, freshPrefix, scene } from "./fixture.js";

describe("closing a client", () => {
  test("releases what it holds, and ends what waits", async () => {
    const prefix = freshPrefix();
    const client = connect();
    const options = { prefix, limit: 1, sessionName: prefix };
    const holder = client.semaphoreOpts(options);
    const slot = await holder.acquire();
    const waiting = client.semaphoreOpts(options).acquire();
    const waitingToo = client.semaphoreOpts(options).tryAcquire();
    const outcomes = [rejectionOf(waiting), rejectionOf(waitingToo)];
    await eventually(
      async () => (await holder.inspect()).waiters.length,
      (count) => count === 2,
    );

    await client.close();

    expect(slot.signal.reason).toBeInstanceOf(SemaphoreReleasedError);
    expect(holder.isHeld).toBe(false);
    for (const outcome of await Promise.all(outcomes)) {
      expect(outcome).toBeInstanceOf(SemaphoreClosedError);
    }
    await expectNothingLeft(prefix);
  });

  test("passes a slot on to the waiters of others", async () => {
    const prefix = freshPrefix();
    const [client, other] = [connect(), connect()];
    await client.semaphorePrefix(prefix, 1).acquire();
    const sem = other.semaphorePrefix(prefix, 1);
    const next = sem.acquire();
    await client.close();
    expect((await next).held).toBe(true);
    await sem.release();
  });

  test("lets a function in the slot come to its end, but what it comes to is no result", async () => {
    const client = connect();
    const sem = client.semaphorePrefix(freshPrefix(), 1);
    let isDone = false;
    const running = sem.run(async ({ signal }) => {
      const aborted = new Promise((resolve) => {
        signal.addEventListener("abort", resolve, { once: true });
      });
      await Promise.all([client.close(), aborted]);
      isDone = true;
    });
    expect(await rejectionOf(running)).toBeInstanceOf(SemaphoreClosedError);
    expect(isDone).toBe(true);
  });

  test("does not get in the way of an error, nor of a release that comes after", async () => {
    const client = connect();
    const sem = client.semaphorePrefix(freshPrefix(), 1);
    const problem = new Error("no luck");
    const running = sem.run(async () => {
      await client.close();
      throw problem;
    });
    expect(await rejectionOf(running)).toBe(problem);

    const other = connect();
    const held = other.semaphorePrefix(freshPrefix(), 1);
    const slot = await held.acquire();
    await Promise.all([other.close(), held.release()]);
    await held.release();
    await slot.release();
  });

  test("has nothing to say of a slot that was released before", async () => {
    const client = connect();
    const sem = client.semaphorePrefix(freshPrefix(), 1);
    const result = await sem.run(async (slot) => {
      await slot.release();
      await client.close();
      return "done";
    });
    expect(result).toBe("done");
    expect(await rejectionOf(sem.release())).toMatchObject({ code: "SEMAPHORE_NOT_HELD" });
  });

  test("may be done twice, at the same time too, and by the end of a block", async () => {
    const prefix = freshPrefix();
    await using client = connect();
    await client.semaphorePrefix(prefix, 1).acquire();
    await Promise.all([client.close(), client.close()]);
    await client.close();
  });

  test("is final: whoever asks after it is told", async () => {
    const client = connect();
    const sem = client.semaphorePrefix(freshPrefix(), 1);
    await client.close();
    expect(await rejectionOf(sem.acquire())).toBeInstanceOf(SemaphoreClosedError);
    expect(await rejectionOf(sem.tryAcquire())).toBeInstanceOf(SemaphoreClosedError);
    expect(await rejectionOf(sem.run(() => undefined))).toBeInstanceOf(SemaphoreClosedError);
    for (const call of [sem.inspect(), sem.resize(2), sem.destroy()]) {
      expect(await rejectionOf(call)).toBeInstanceOf(SemaphoreClosedError);
    }
  });

  test("does not wait for long where Consul does not answer", async () => {
    const { prefix, proxy, behind } = await scene();
    const slot = await behind.semaphorePrefix(prefix, 1).acquire();
    const waiting = rejectionOf(behind.semaphorePrefix(prefix, 1).acquire());
    proxy.afflict("hang");
    const startedAt = performance.now();
    await behind.close();
    // 5 s for the semaphores, and 1 s for each kept session, of which there is none.
    expect(performance.now() - startedAt).toBeLessThan(8_000);
    expect(slot.signal.aborted).toBe(true);
    expect(await waiting).toBeInstanceOf(SemaphoreClosedError);
  });
});
