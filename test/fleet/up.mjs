// Boot a fleet by hand: `node test/fleet/up.mjs 3`. Node 20 runs no TypeScript, so esbuild bundles it first.
import { mkdtemp, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const nodeModules = join(here, "..", "..", "node_modules");
const folder = await mkdtemp(join(nodeModules, ".volley-fleet-"));
try {
  const outfile = join(folder, "cli.mjs");
  await build({
    entryPoints: [join(here, "lib", "cli.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    logLevel: "warning",
  });
  const { main } = await import(pathToFileURL(outfile).href);
  await rm(folder, { recursive: true });
  await main(process.argv.slice(2));
} finally {
  await rm(folder, { recursive: true, force: true });
}
