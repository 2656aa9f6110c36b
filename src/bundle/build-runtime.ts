import { readFile } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";
import { build, type Plugin } from "esbuild";
import { refuseForbidden } from "./import-rules.ts";

/** The parts that every bundle has, whatever its playbook, as they lie in it: all but the bootstrap packed with Brotli. */
export interface RuntimeFiles {
  /** Text without apostrophes. */
  readonly bootstrap: Buffer;
  readonly runner: Buffer;
  readonly template: Buffer;
  /** The YAML reader. Few templates need it: the first that does loads it. */
  readonly yaml: Buffer;
}

/** The source of each part, below `src/`. */
const SOURCES: Readonly<Record<keyof RuntimeFiles, string>> = {
  bootstrap: "agent/boot/bootstrap.ts",
  runner: "agent/main.ts",
  template: "template/index.ts",
  yaml: "yaml/document.ts",
};

const QUICK_QUALITY = 5;

/** Terser's `minify`, as far as it is used. */
type Minify = (
  code: string,
  options: { readonly compress: false; readonly mangle: { readonly toplevel: true } },
) => Promise<{ readonly code?: string }>;

/**
 * Build the parts from Volley's own source below `sourceDirectory` (a file URL that ends with a slash). `minify` is
 * Terser's, which only the build of the package has: without it the parts are packed less tightly, in a fiftieth of the
 * time.
 */
export async function buildRuntime(sourceDirectory: string, minify?: Minify): Promise<RuntimeFiles> {
  const part = (name: keyof RuntimeFiles): Promise<Buffer> => buildPart(name, sourceDirectory);
  const packed = async (name: keyof RuntimeFiles): Promise<Buffer> => {
    const code = await part(name);
    if (minify === undefined) return pack(code, QUICK_QUALITY);
    // esbuild has made the names short; Terser chooses them so that they repeat, which saves each bundle 3 KB.
    const { code: renamed } = await minify(code.toString(), { compress: false, mangle: { toplevel: true } });
    return pack(Buffer.from(renamed!), constants.BROTLI_MAX_QUALITY);
  };
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
  const root = fileURLToPath(new URL("..", sourceDirectory));
  const result = await build({
    entryPoints: [fileURLToPath(new URL(SOURCES[name], sourceDirectory))],
    absWorkingDir: root,
    bundle: true,
    write: false,
    minify: true,
    metafile: true,
    platform: "node",
    format: "cjs",
    // An old Node must at least be able to say that it is too old.
    target: name === "bootstrap" ? "node6" : "node18",
    plugins:
      name === "template"
        ? [LATE_YAML, withoutSharedCore(sourceDirectory), TRIM_NUNJUCKS]
        : name === "yaml"
          ? [withoutSharedCore(sourceDirectory)]
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

/** The documentation of an action, where every action has it. */
const DOCUMENTATION = /^ {2}doc:\s+(?:`(?:\\[\s\S]|[^`\\])*`|"(?:\\.|[^"\\])*"),$/m;

/** The documentation of a parameter: sentences that begin with a capital letter, as no message of an action does. */
const PARAMETER_DOCUMENTATION = /"[A-Z`](?:\\.|[^"\\\n])*\.`?"(?=[,)\s])/g;

/** The examples of an action, where every action has them. */
const EXAMPLES = /^ {2}examples: (?:\[[^\n]*\]|\[\n[\s\S]*?\n {2}\]),$/m;

/** Leave the actions' documentation, which `volley doc` shows, out of the runner: hosts do not need it. */
const WITHOUT_DOCUMENTATION: Plugin = {
  name: "without-documentation",
  setup: ({ onLoad }) => {
    onLoad({ filter: /[\\/]src[\\/]actions[\\/](?:[\w-]+[\\/])*[\w-]+\.ts$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8"))
        .replace(DOCUMENTATION, '  doc: "",')
        .replace(EXAMPLES, "")
        .replace(PARAMETER_DOCUMENTATION, '""'),
      loader: "ts",
    }));
  },
};

/** Make the template part require the YAML part when it first reads YAML, instead of holding it. */
const LATE_YAML: Plugin = {
  name: "late-yaml",
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /[\\/]yaml[\\/]document\.ts$/ }, () => ({ path: "yaml", namespace: "late" }));
    onResolve({ filter: /^yaml$/, namespace: "late" }, () => ({ path: "yaml", external: true }));
    onLoad({ filter: /.*/, namespace: "late" }, () => ({
      contents: `
        exports.parseYamlDocument = (...given) => require("yaml").parseYamlDocument(...given);
        exports.parseYamlStream = (...given) => require("yaml").parseYamlStream(...given);`,
    }));
  },
};

/** Leave out of the template and YAML parts the files that agent/shared-core.ts lists: the runner gives them to it. */
function withoutSharedCore(sourceDirectory: string): Plugin {
  const list = fileURLToPath(new URL("agent/shared-core.ts", sourceDirectory));
  return {
    name: "without-shared-core",
    setup: async ({ onResolve }) => {
      const text = await readFile(list, "utf8");
      const shared = new Set(
        [...text.matchAll(/^export \* from "(.+)";$/gm)].map(([, path = ""]) => resolve(dirname(list), path)),
      );
      onResolve({ filter: /\.ts$/ }, ({ path, resolveDir }) =>
        shared.has(resolve(resolveDir, path)) ? { path: "core", external: true } : undefined,
      );
    },
  };
}

/**
 * The methods of nunjucks' parser that template/ uses without overriding them, and the methods that these call. Of
 * lexer.js template/ uses the constants only.
 */
const METHODS: Readonly<Record<string, readonly string[]>> = {
  "lexer.js": [],
  "parser.js": [
    "init",
    "nextToken",
    "peekToken",
    "pushToken",
    "skipValue",
    "skipSymbol",
    "advanceAfterVariableEnd",
    "parseWithContext",
    "parseUntilBlocks",
    "parse",
    "parseAsRoot",
  ],
};

/** A method, from its name to the closing brace in the same column. */
const METHOD = /^ {2}_proto\.(\w+) = function [\s\S]*?^ {2}\}/gm;

/** The exports at the end of runtime.js. */
const EXPORTS = /^module\.exports = \{[\s\S]*\}/m;

/** The part of lib.js that object.js uses, in today's JavaScript. Only the parts left out use the rest. */
const LIB = "exports.keys = Object.keys; exports._assign = Object.assign;";

function withMethods(file: string, text: string): string {
  const missing = new Set(METHODS[file]);
  const trimmed = text.replace(METHOD, (method, name: string) => (missing.delete(name) ? method : ""));
  if (missing.size > 0 || trimmed === text)
    throw new Error(
      `nunjucks' ${file} is not as expected: ${[...missing].join(", ") || "methods"} not found`,
    );
  return trimmed;
}

function withFrameOnly(file: string, text: string): string {
  // As an ES module, from which the bundler drops unused code.
  const trimmed = text.replace(EXPORTS, "export default { Frame }");
  if (trimmed === text) throw new Error(`nunjucks' ${file} is not as expected: exports not found`);
  return trimmed;
}

/** The functions of nodes.js that print a tree, for people who mend nunjucks. */
const PRINTING = /^function print(?:Nodes)?\([\s\S]*?^\}\n|,\n {2}printNodes: printNodes/gm;

function withoutPrinting(text: string): string {
  const trimmed = text.replace(PRINTING, "");
  if (trimmed.includes("printNodes"))
    throw new Error("nunjucks' nodes.js is not as expected: printNodes stays");
  return trimmed;
}

/**
 * Leave out of nunjucks, whose version is pinned, the parts that template/ does not use: most of it. A bundler cannot
 * find them by itself, because nunjucks uses prototypes and CommonJS.
 */
const TRIM_NUNJUCKS: Plugin = {
  name: "trim-nunjucks",
  setup: ({ onLoad }) => {
    onLoad({ filter: /[\\/]nunjucks[\\/]src[\\/]lib\.js$/ }, () => ({ contents: LIB, loader: "js" }));
    onLoad({ filter: /[\\/]nunjucks[\\/]src[\\/]nodes\.js$/ }, async ({ path }) => ({
      contents: withoutPrinting(await readFile(path, "utf8")),
      loader: "js",
    }));
    onLoad({ filter: /[\\/]nunjucks[\\/]src[\\/](?:lexer|parser|runtime)\.js$/ }, async ({ path }) => {
      const file = basename(path);
      const text = await readFile(path, "utf8");
      return { contents: (file === "runtime.js" ? withFrameOnly : withMethods)(file, text), loader: "js" };
    });
  },
};
