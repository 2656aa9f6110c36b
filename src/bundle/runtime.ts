import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { RuntimeFiles } from "./build-runtime.ts";

/** The names of the parts in the package. */
export const RUNTIME_NAMES = {
  bootstrap: "bootstrap.js",
  runner: "runner.js.br",
  template: "template.js.br",
  yaml: "yaml.js.br",
} as const satisfies Readonly<Record<keyof RuntimeFiles, string>>;

let built: Promise<RuntimeFiles> | undefined;

/** Load the parts that every bundle has: from the installed package, or built from source in a checkout that runs from source. */
export function loadRuntime(): Promise<RuntimeFiles> {
  built ??= readOrBuild();
  return built;
}

async function readOrBuild(): Promise<RuntimeFiles> {
  const directory = runtimeDirectory();
  if (directory === undefined) {
    const { buildRuntime } = await import("./build-runtime.ts");
    return buildRuntime(new URL("../", import.meta.url).href);
  }
  const read = (name: keyof RuntimeFiles): Buffer => readFileSync(new URL(RUNTIME_NAMES[name], directory));
  return {
    bootstrap: read("bootstrap"),
    runner: read("runner"),
    template: read("template"),
    yaml: read("yaml"),
  };
}

/** The directory of the built parts in the package; undefined when Volley runs from source. */
function runtimeDirectory(): URL | undefined {
  if (import.meta.url.endsWith(".ts")) return undefined;
  // Chunks lie at differing depths below dist.
  return ["./agent/", "../agent/", "../../agent/"]
    .map((candidate) => new URL(candidate, import.meta.url))
    .find((directory) => existsSync(fileURLToPath(new URL(RUNTIME_NAMES.runner, directory))));
}

let version: string | undefined;

/** Volley's own version, from its package.json. */
export function volleyVersion(): string {
  version ??= readVersion();
  return version;
}

function readVersion(): string {
  const require = createRequire(import.meta.url);
  // Chunks lie at differing depths below the package.
  for (const candidate of ["../../package.json", "../package.json", "../../../package.json"]) {
    try {
      const manifest = require(candidate) as { readonly name?: string; readonly version?: string };
      if (manifest.name === "volley" && manifest.version !== undefined) return manifest.version;
    } catch {
      // Not at this depth.
    }
  }
  return "0.0.0";
}
