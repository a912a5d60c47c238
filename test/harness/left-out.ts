import type { Reporter, TestRunEndReason, TestModule, SerializedError, Vitest } from "vitest/node";

/** Says at the end of a run what the tests that take long would have looked at, and how to run them. */
export class LeftOut implements Reporter {
  #projects: readonly string[] = [];

  onInit({ projects }: Vitest): void {
    this.#projects = projects.map(({ name }) => name);
  }

  onTestRunEnd(
    _modules: readonly TestModule[],
    _errors: readonly SerializedError[],
    reason: TestRunEndReason,
  ): void {
    if (reason === "interrupted" || this.#projects.includes("long")) return;
    console.log(
      [
        "Not run: a cluster whose servers fail, agents that restart, blocked event loops, most answers",
        "of the fuzz and seeds of the simulation, and the bugs that it has to find: npm run test:all",
      ].join("\n"),
    );
  }
}
