import { containerFlags } from "./agent-configuration.js";
import { untilReady } from "./agent-readiness.js";
import { messageOf } from "./error-message.js";
import { LogTail } from "./log-tail.js";
import type { StartedAgent } from "./started-agent.js";

const httpPort = 8500;
const readyWithinMs = 30_000;

/** Starts a dev agent in a container of the image and waits until it serves. */
export async function startAgentContainer(image: string, hcl: string): Promise<StartedAgent> {
  const { GenericContainer, Wait } = await import("testcontainers");
  const log = new LogTail();
  try {
    const container = await new GenericContainer(image)
      .withCommand(containerFlags(hcl))
      .withExposedPorts(httpPort)
      .withLogConsumer((stream) => {
        log.follow(stream);
      })
      // Asked from outside: the usual check of ports needs a shell in the image.
      .withWaitStrategy(
        Wait.forHttp("/v1/status/leader", httpPort, { abortOnContainerExit: true })
          .withReadTimeout(250)
          .withStartupTimeout(readyWithinMs),
      )
      .start();
    const address = `http://${container.getHost()}:${container.getMappedPort(httpPort)}`;
    let stopping: Promise<void> | undefined;
    const stop = () => {
      stopping ??= container.stop().then(() => undefined);
      return stopping;
    };
    try {
      await untilReady(address, AbortSignal.timeout(readyWithinMs));
      return { address, stop };
    } catch (error) {
      await stop();
      throw error;
    }
  } catch (error) {
    throw new Error(
      `A container of ${image} would not serve: ${messageOf(error)}. ${String(log)}`,
      {
        cause: error,
      },
    );
  }
}
