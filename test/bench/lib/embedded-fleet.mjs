import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const SERVE = `import { serveEmbeddedFleet } from "./src/embedded/serve.ts"; await serveEmbeddedFleet(process.argv.slice(2));`;

/**
 * Starts embedded hosts in a process of their own, so that what they take is not measured. `contents` is the program: it
 * prints a line of JSON that describes them, and ends when its standard input does.
 */
export async function startEmbeddedHosts({ args = [], contents = SERVE }) {
  // Inside the project, so that the compiled file finds the packages it imports.
  const directory = mkdtempSync(join(root, "node_modules", ".bench-"));
  const file = join(directory, "serve.mjs");
  await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    outfile: file,
    logLevel: "warning",
  });
  const child = spawn(process.execPath, [file, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const [line] = await once(createInterface(child.stdout), "line");
  return {
    description: JSON.parse(line),
    stop: async () => {
      child.stdin.end();
      await exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
