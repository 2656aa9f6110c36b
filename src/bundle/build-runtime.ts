import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { refuseForbidden } from "./forbidden.ts";
import { RUNTIME_NAMES, type RuntimeFiles } from "./runtime.ts";

const SOURCES: RuntimeFiles = {
  bootstrap: "target/boot/bootstrap.ts",
  runner: "target/entry.ts",
  template: "template/index.ts",
};

/** Builds the parts from Volley's own source below `sourceDirectory` (a file URL that ends with a slash). */
export async function buildRuntime(sourceDirectory: string): Promise<RuntimeFiles> {
  const [bootstrap, runner, template] = await Promise.all(
    RUNTIME_NAMES.map((name) => buildPart(fileURLToPath(new URL(SOURCES[name], sourceDirectory)), name)),
  );
  return { bootstrap: bootstrap!, runner: runner!, template: template! };
}

async function buildPart(entry: string, name: keyof RuntimeFiles): Promise<string> {
  const result = await build({
    entryPoints: [entry],
    absWorkingDir: fileURLToPath(new URL("../..", import.meta.url)),
    bundle: true,
    write: false,
    minify: true,
    metafile: true,
    platform: "node",
    format: name === "bootstrap" ? "iife" : "cjs",
    // Old versions must at least be able to say that they are too old.
    target: name === "bootstrap" ? "node6" : "node18",
    legalComments: "none",
    charset: "utf8",
    logLevel: "silent",
  });
  const [input] = Object.keys(result.metafile.outputs).map((output) => result.metafile.outputs[output]!.entryPoint);
  refuseForbidden(result.metafile, input!, true);
  return result.outputFiles[0]!.text;
}
