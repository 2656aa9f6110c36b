import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import type { EmbeddedFleet, EmbeddedHost } from "../../src/embedded/options.ts";
import { connect, exec } from "./client.ts";
import { serveFleet } from "./served.ts";

test("serves a fleet from a process of its own until stdin ends", async () => {
  const fault = '1={"kind":"refuse"}';
  const { fleet, stop } = await serveFleet(["--count", "2", "--fault", fault, "--env", "MODE=a=b"]);
  expect(fleet.hosts.map(({ name }) => name)).toEqual(["web01", "web02"]);
  expect(fleet.inventoryYaml).toContain(`ansible_port: ${fleet.hosts[0]!.port}`);
  const reach = (index: number): ReturnType<typeof connect> =>
    connect(fleet as unknown as EmbeddedFleet, fleet.hosts[index] as EmbeddedHost);
  const client = await reach(0);
  expect((await exec(client, "echo $VOLLEY_EMBEDDED_HOST $MODE")).stdout).toBe("web01 a=b\n");
  await expect(reach(1)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  client.on("error", () => {});
  expect(await stop()).toEqual([0, null]);
  expect(existsSync(fleet.root)).toBe(false);
});
