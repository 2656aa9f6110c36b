import { readdirSync } from "node:fs";
import { afterAll, describe } from "vitest";
import { stopSandboxHost } from "./sandbox-system.ts";

const actions = new URL("../../actions/", import.meta.url);

/** Directories of actions whose tests take longest; each file of test/direct has about a third of the work. */
const LONG = { files: ["edit", "files"], source: ["source", "system"] } as const;

/** Take up the tests of actions once more, on a host at the other end of a connection. */
export function describeActions(which: keyof typeof LONG | "others"): void {
  process.env.VOLLEY_TEST_SYSTEM = "direct";
  afterAll(() => {
    delete process.env.VOLLEY_TEST_SYSTEM;
  });
  stopSandboxHost();

  const long: readonly string[] = Object.values(LONG).flat();
  for (const name of readdirSync(actions, { recursive: true, encoding: "utf8" }).sort()) {
    if (!name.endsWith(".test.ts")) continue;
    const [directory] = name.split("/") as [string];
    const isHere =
      which === "others" ? !long.includes(directory) : LONG[which].some((one) => one === directory);
    if (!isHere) continue;
    describe(name, async () => {
      // A module of its own: this process may have run the file before.
      await import(`${new URL(name, actions).pathname}?direct`);
    });
  }
}
