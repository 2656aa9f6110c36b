import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";
import { build } from "esbuild";
import { refuseForbidden } from "./forbidden.ts";
import type { RuntimeFiles } from "./runtime.ts";

const SOURCES: Readonly<Record<keyof RuntimeFiles, string>> = {
  bootstrap: "target/boot/bootstrap.ts",
  runner: "target/entry.ts",
  template: "template/index.ts",
};

const QUICK_QUALITY = 5;

/**
 * Builds the parts from Volley's own source below `sourceDirectory` (a file URL that ends with a slash); `quick` packs
 * them less tightly, in a fiftieth of the time.
 */
export async function buildRuntime(sourceDirectory: string, { quick }: { readonly quick: boolean }): Promise<RuntimeFiles> {
  const part = (name: keyof RuntimeFiles): Promise<Buffer> =>
    buildPart(fileURLToPath(new URL(SOURCES[name], sourceDirectory)), name);
  const [bootstrap, runner, template] = await Promise.all([part("bootstrap"), part("runner"), part("template")]);
  const quality = quick ? QUICK_QUALITY : constants.BROTLI_MAX_QUALITY;
  return { bootstrap, runner: await pack(runner, quality), template: await pack(template, quality) };
}

async function pack(code: Buffer, quality: number): Promise<Buffer> {
  const params = { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_SIZE_HINT]: code.length };
  return promisify(brotliCompress)(code, { params }) as Promise<Buffer>;
}

async function buildPart(entry: string, name: keyof RuntimeFiles): Promise<Buffer> {
  const result = await build({
    entryPoints: [entry],
    absWorkingDir: fileURLToPath(new URL("../..", import.meta.url)),
    bundle: true,
    write: false,
    minify: true,
    metafile: true,
    platform: "node",
    format: "cjs",
    // Old versions must at least be able to say that they are too old.
    target: name === "bootstrap" ? "node6" : "node18",
    legalComments: "none",
    charset: "utf8",
    logLevel: "silent",
  });
  const [output] = Object.values(result.metafile.outputs);
  refuseForbidden(result.metafile, output!.entryPoint!, true);
  return Buffer.from(result.outputFiles[0]!.contents);
}
