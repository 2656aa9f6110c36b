import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { FleetDescription } from "../../src/embedded/serve.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));

/** An embedded fleet in a process of its own. */
export interface ServedFleet {
  readonly fleet: FleetDescription;
  /** Stop the fleet; gives exit code and signal of its process. */
  stop(): Promise<readonly [number | null, string | null]>;
}

/**
 * Start an embedded fleet in a process of its own; the arguments are those of `serveEmbeddedFleet`. A process starts
 * others in a time that grows with its memory: this one's is small, a test's is not.
 */
export async function serveFleet(args: readonly string[] = []): Promise<ServedFleet> {
  // Inside the project, so that the compiled file finds the packages it imports.
  const directory = mkdtempSync(join(project, "node_modules", ".embedded-"));
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  try {
    const outfile = join(directory, "serve.mjs");
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
      outfile,
    });
    const child = spawn(process.execPath, [outfile, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    const exited = once(child, "exit") as Promise<[number | null, string | null]>;
    const early = exited.then(([code]) =>
      Promise.reject(new Error(`the fleet's process ended with ${code}`)),
    );
    early.catch(() => {});
    const [line] = (await Promise.race([once(createInterface(child.stdout), "line"), early])) as [string];
    return {
      fleet: JSON.parse(line) as FleetDescription,
      stop: async () => {
        child.stdin.end();
        const end = await exited;
        remove();
        return end;
      },
    };
  } catch (thrown) {
    remove();
    throw thrown;
  }
}
