import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { EmbeddedFleet, EmbeddedHost } from "../../src/embedded/options.ts";
import type { FleetDescription } from "../../src/embedded/serve.ts";
import { connect, exec } from "./client.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));
let directory: string;

beforeAll(async () => {
  // Inside the project, so that the compiled file finds the packages it imports.
  directory = mkdtempSync(join(project, "node_modules", ".embedded-"));
  await build({
    stdin: {
      contents: `import { serveEmbeddedFleet } from "./src/embedded/serve.ts";
        await serveEmbeddedFleet(process.argv.slice(2));`,
      resolveDir: project,
    },
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    outfile: join(directory, "serve.mjs"),
  });
});
afterAll(() => rmSync(directory, { recursive: true }));

test("serves a fleet from a process of its own until stdin ends", async () => {
  const fault = '1={"kind":"refuse"}';
  const child = spawn(process.execPath, [join(directory, "serve.mjs"), "--count", "2", "--fault", fault], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  const fleet = JSON.parse(line) as FleetDescription;
  expect(fleet.hosts.map(({ name }) => name)).toEqual(["web01", "web02"]);
  expect(fleet.inventoryYaml).toContain(`ansible_port: ${fleet.hosts[0]!.port}`);
  const reach = (index: number): ReturnType<typeof connect> =>
    connect(fleet as unknown as EmbeddedFleet, fleet.hosts[index] as EmbeddedHost);
  const client = await reach(0);
  expect((await exec(client, "echo $VOLLEY_EMBEDDED_HOST")).stdout).toBe("web01\n");
  await expect(reach(1)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  client.on("error", () => {});
  child.stdin.end();
  expect(await exited).toEqual([0, null]);
  expect(existsSync(fleet.root)).toBe(false);
});
