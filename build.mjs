// Builds dist/: the controller as split ES modules, type declarations, and the parts every bundle has.
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: { out: { type: "string" }, "no-types": { type: "boolean" } },
});
const dist = resolve(options.out ?? join(root, "dist"));
rmSync(dist, { recursive: true, force: true });

await build({
  absWorkingDir: root,
  entryPoints: {
    index: "src/index.ts",
    controller: "src/controller.ts",
    testing: "src/testing.ts",
    "cli/main": "src/cli/main.ts",
    "bundle/build-runtime": "src/bundle/build-runtime.ts",
    "bundle/runtime": "src/bundle/runtime.ts",
  },
  outdir: dist,
  bundle: true,
  splitting: true,
  // Small pure libraries ride along, cut down to what is used: Node loads one file sooner than fifty.
  external: ["archiver", "esbuild", "ink", "pino", "react", "react/jsx-runtime", "ssh2", "yaml"],
  minifySyntax: true,
  minifyWhitespace: true,
  banner: {
    js: 'import { createRequire as volleyRequire } from "node:module"; const require = volleyRequire(import.meta.url);',
  },
  platform: "node",
  format: "esm",
  target: "node20",
  jsx: "automatic",
  chunkNames: "chunks/[name]-[hash]",
  logLevel: "warning",
});
chmodSync(join(dist, "cli/main.js"), 0o755);
cpSync(join(root, "src/demo"), join(dist, "demo"), { recursive: true });

const { buildRuntime } = await import(pathToFileURL(join(dist, "bundle/build-runtime.js")).href);
const { RUNTIME_NAMES } = await import(pathToFileURL(join(dist, "bundle/runtime.js")).href);
const runtime = await buildRuntime(pathToFileURL(`${join(root, "src")}/`).href, { quick: false });
mkdirSync(join(dist, "target"));
for (const [name, bytes] of Object.entries(runtime))
  writeFileSync(join(dist, "target", RUNTIME_NAMES[name]), bytes);

if (options["no-types"] !== true) {
  const require = createRequire(import.meta.url);
  const tsc = join(dirname(require.resolve("typescript/package.json")), "bin", "tsc");
  execFileSync(
    process.execPath,
    [
      tsc,
      "--noEmit",
      "false",
      "--emitDeclarationOnly",
      "--declaration",
      "--rootDir",
      "src",
      "--outDir",
      dist,
      "-p",
      "tsconfig.build.json",
    ],
    { cwd: root, stdio: "inherit" },
  );
}
