import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";
import { build, type Plugin } from "esbuild";
import { refuseForbidden } from "./forbidden.ts";
import type { RuntimeFiles } from "./runtime.ts";
import { TRIM_NUNJUCKS } from "./trim-nunjucks.ts";

/** What each part is built from: a file of Volley's source, or a line of code. */
const SOURCES: Readonly<Record<keyof RuntimeFiles, { readonly file: string } | { readonly code: string }>> = {
  bootstrap: { file: "target/boot/bootstrap.ts" },
  runner: { file: "target/entry.ts" },
  template: { file: "template/index.ts" },
  yaml: { code: 'export { parse, parseAllDocuments } from "yaml";' },
};

/** What `volley doc` shows of an action, at the place where every action has it. */
const DOCUMENTATION = /^ {2}doc:\s+(?:`(?:\\[\s\S]|[^`\\])*`|"(?:\\.|[^"\\])*"),$/m;

/** What `volley doc` shows of a parameter: sentences that begin with a capital letter, as no message of an action does. */
const PARAMETER_DOCUMENTATION = /"[A-Z`](?:\\.|[^"\\\n])*\.`?"(?=[,)\s])/g;

/** The examples, at the place where every action has them. */
const EXAMPLES = /^ {2}examples: (?:\[[^\n]*\]|\[\n[\s\S]*?\n {2}\]),$/m;

/** Leaves the actions' documentation out of the runner: nobody reads it on a host. */
const WITHOUT_DOCUMENTATION: Plugin = {
  name: "without-documentation",
  setup: ({ onLoad }) => {
    onLoad({ filter: /[\\/]src[\\/]actions[\\/](?:lib[\\/])?[\w-]+\.ts$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8"))
        .replace(DOCUMENTATION, '  doc: "",')
        .replace(EXAMPLES, "")
        .replace(PARAMETER_DOCUMENTATION, '""'),
      loader: "ts",
    }));
  },
};

/** Makes the template part ask for the YAML reader when it first reads YAML, instead of holding it. */
const LATE_YAML: Plugin = {
  name: "late-yaml",
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /^yaml$/ }, ({ namespace }) =>
      namespace === "late" ? { path: "yaml", external: true } : { path: "yaml", namespace: "late" },
    );
    onLoad({ filter: /.*/, namespace: "late" }, () => ({
      contents: `
        exports.parse = (...given) => require("yaml").parse(...given);
        exports.parseAllDocuments = (...given) => require("yaml").parseAllDocuments(...given);`,
    }));
  },
};

/** The files of target/shared-core.ts, which the template part asks the runner for. */
const SHARED_CORE: Plugin = {
  name: "shared-core",
  setup: ({ onResolve }) => {
    onResolve(
      { filter: /[\\/](?:errors|json-text|lossless-text|plain-vars|python-regex|value)\.ts$/ },
      ({ path, resolveDir }) =>
        /[\\/]core(?:[\\/]|$)/.test(path.startsWith("./") ? resolveDir : path)
          ? { path: "core", external: true }
          : undefined,
    );
  },
};

const QUICK_QUALITY = 5;

/**
 * Builds the parts from Volley's own source below `sourceDirectory` (a file URL that ends with a slash); `quick` packs
 * them less tightly, in a fiftieth of the time.
 */
export async function buildRuntime(
  sourceDirectory: string,
  { quick }: { readonly quick: boolean },
): Promise<RuntimeFiles> {
  const quality = quick ? QUICK_QUALITY : constants.BROTLI_MAX_QUALITY;
  const part = (name: keyof RuntimeFiles): Promise<Buffer> => buildPart(name, sourceDirectory);
  const packed = async (name: keyof RuntimeFiles): Promise<Buffer> => pack(await part(name), quality);
  const [bootstrap, runner, template, yaml] = await Promise.all([
    part("bootstrap"),
    packed("runner"),
    packed("template"),
    packed("yaml"),
  ]);
  return { bootstrap, runner, template, yaml };
}

async function pack(code: Buffer, quality: number): Promise<Buffer> {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: quality,
    [constants.BROTLI_PARAM_SIZE_HINT]: code.length,
  };
  return promisify(brotliCompress)(code, { params }) as Promise<Buffer>;
}

async function buildPart(name: keyof RuntimeFiles, sourceDirectory: string): Promise<Buffer> {
  const source = SOURCES[name];
  const root = fileURLToPath(new URL("..", sourceDirectory));
  const result = await build({
    ...("file" in source
      ? { entryPoints: [fileURLToPath(new URL(source.file, sourceDirectory))] }
      : { stdin: { contents: source.code, resolveDir: root } }),
    absWorkingDir: root,
    bundle: true,
    write: false,
    minify: true,
    metafile: true,
    platform: "node",
    format: "cjs",
    // Old versions must at least be able to say that they are too old.
    target: name === "bootstrap" ? "node6" : "node18",
    plugins:
      name === "template"
        ? [LATE_YAML, SHARED_CORE, TRIM_NUNJUCKS]
        : name === "runner"
          ? [WITHOUT_DOCUMENTATION]
          : [],
    legalComments: "none",
    charset: "utf8",
    logLevel: "silent",
  });
  const [output] = Object.values(result.metafile.outputs);
  refuseForbidden(result.metafile, output!.entryPoint!, true);
  return Buffer.from(result.outputFiles[0]!.contents);
}
