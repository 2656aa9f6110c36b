import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The parts every bundle has, whatever its playbook. */
export interface RuntimeFiles {
  readonly bootstrap: string;
  readonly runner: string;
  readonly template: string;
}

/** The names the parts have in the package. */
export const RUNTIME_NAMES: readonly (keyof RuntimeFiles)[] = ["bootstrap", "runner", "template"];

let built: Promise<RuntimeFiles> | undefined;

/** The parts every bundle has: from the installed package, or built from source in a checkout that runs from source. */
export function loadRuntime(): Promise<RuntimeFiles> {
  built ??= readOrBuild();
  return built;
}

async function readOrBuild(): Promise<RuntimeFiles> {
  const directory = runtimeDirectory();
  if (directory !== undefined) {
    const [bootstrap, runner, template] = RUNTIME_NAMES.map((name) => readFileSync(new URL(`${name}.js`, directory), "utf8"));
    return { bootstrap: bootstrap!, runner: runner!, template: template! };
  }
  const { buildRuntime } = await import("./build-runtime.ts");
  return buildRuntime(new URL("../", import.meta.url).href);
}

/** Where the package keeps the built parts; undefined when Volley runs from source. */
function runtimeDirectory(): URL | undefined {
  if (import.meta.url.endsWith(".ts")) return undefined;
  // Chunks lie at differing depths below dist.
  for (const candidate of ["./target/", "../target/", "../../target/"]) {
    const directory = new URL(candidate, import.meta.url);
    if (existsSync(fileURLToPath(new URL("runner.js", directory)))) return directory;
  }
  return undefined;
}
