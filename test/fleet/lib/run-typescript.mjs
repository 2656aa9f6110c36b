// Runs a TypeScript file of this project: Node 20 runs no TypeScript, so esbuild bundles it first.
import { mkdtemp, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const nodeModules = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "node_modules");

/** Bundles `entry` (an absolute path) and calls its `main` with `args`. */
export async function runTypeScript(entry, args) {
  const folder = await mkdtemp(join(nodeModules, ".volley-run-"));
  try {
    const outfile = join(folder, "main.mjs");
    await build({
      entryPoints: [entry],
      outfile,
      bundle: true,
      platform: "node",
      format: "esm",
      packages: "external",
      logLevel: "warning",
    });
    const { main } = await import(pathToFileURL(outfile).href);
    await rm(folder, { recursive: true });
    await main(args);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
