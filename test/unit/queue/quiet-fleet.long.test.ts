import { expect, test } from "vitest";

import { Scene } from "../client-of-fake.js";
import { FakeTime } from "../fake-time.js";
import { Watched } from "../outcome.js";

const WAITERS = 300;
const MOST_REQUESTS_PER_SECOND = 60;
const SECONDS = 30;

test(`${WAITERS} waiters in as many processes cost few requests while nothing moves`, async () => {
  const time = new FakeTime();
  const scene = new Scene();
  const contend = () => scene.newClient().semaphorePrefix("jobs", 1).acquire();
  await contend();
  for (let i = 0; i < WAITERS; i += 1) {
    new Watched(contend());
    await time.pass(1);
  }
  await time.pass(60_000);

  scene.forget();
  await time.pass(SECONDS * 1_000);
  const requests = scene.sent.filter(({ step }) => step !== "renew");
  expect(requests.length).toBeLessThan(MOST_REQUESTS_PER_SECOND * SECONDS);
  expect(requests.filter(({ step }) => step === "read prefix").length).toBeLessThan(SECONDS);
});
