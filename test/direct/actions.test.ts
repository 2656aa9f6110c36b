import { readdirSync } from "node:fs";
import { afterAll, describe } from "vitest";
import { stopSandboxHost } from "./lib/sandbox-system.ts";

// The actions' own tests, once more, on a host at the other end of a connection.
process.env.VOLLEY_TEST_SYSTEM = "direct";
afterAll(() => {
  delete process.env.VOLLEY_TEST_SYSTEM;
});
stopSandboxHost();

const actions = new URL("../actions/", import.meta.url);

for (const name of readdirSync(actions, { recursive: true, encoding: "utf8" }).sort()) {
  if (!name.endsWith(".test.ts")) continue;
  describe(name, async () => {
    // A module of its own: this process may have run the file before.
    await import(`${new URL(name, actions).pathname}?direct`);
  });
}
