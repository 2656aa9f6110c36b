import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The parts every bundle has, whatever its playbook, as they lie in it: all but the bootstrap packed with Brotli. */
export interface RuntimeFiles {
  /** Text without apostrophes. */
  readonly bootstrap: Buffer;
  readonly runner: Buffer;
  readonly template: Buffer;
  /** The YAML reader, which few templates need: it is loaded by the first that does. */
  readonly yaml: Buffer;
}

/** The names the parts have in the package. */
export const RUNTIME_NAMES = {
  bootstrap: "bootstrap.js",
  runner: "runner.js.br",
  template: "template.js.br",
  yaml: "yaml.js.br",
} as const satisfies Readonly<Record<keyof RuntimeFiles, string>>;

let built: Promise<RuntimeFiles> | undefined;

/** The parts every bundle has: from the installed package, or built from source in a checkout that runs from source. */
export function loadRuntime(): Promise<RuntimeFiles> {
  built ??= readOrBuild();
  return built;
}

async function readOrBuild(): Promise<RuntimeFiles> {
  const directory = runtimeDirectory();
  if (directory === undefined) {
    const { buildRuntime } = await import("./build-runtime.ts");
    return buildRuntime(new URL("../", import.meta.url).href, { quick: true });
  }
  const read = (name: keyof RuntimeFiles): Buffer => readFileSync(new URL(RUNTIME_NAMES[name], directory));
  return {
    bootstrap: read("bootstrap"),
    runner: read("runner"),
    template: read("template"),
    yaml: read("yaml"),
  };
}

/** Where the package keeps the built parts; undefined when Volley runs from source. */
function runtimeDirectory(): URL | undefined {
  if (import.meta.url.endsWith(".ts")) return undefined;
  // Chunks lie at differing depths below dist.
  return ["./target/", "../target/", "../../target/"]
    .map((candidate) => new URL(candidate, import.meta.url))
    .find((directory) => existsSync(fileURLToPath(new URL(RUNTIME_NAMES.runner, directory))));
}
