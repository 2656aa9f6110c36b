import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";
import { build, type Plugin } from "esbuild";
import { buildActions } from "./build-actions.ts";
import { refuseForbidden } from "./import-rules.ts";
import { fromRunner, hasSource, MINIFY, type Minify } from "./lent.ts";
import { type OwnParts, PART_RULES, type PartName } from "./parts.ts";

const QUICK_QUALITY = 5;

/**
 * Build what Volley puts into bundles from its own source below `sourceDirectory` (a file URL that ends with a slash).
 * `minify` is Terser's, which only the build of the package has: without it the parts are packed less tightly, in a
 * fiftieth of the time.
 */
export async function buildOwnParts(sourceDirectory: string, minify?: Minify): Promise<OwnParts> {
  const quality = minify === undefined ? QUICK_QUALITY : constants.BROTLI_MAX_QUALITY;
  const rules = PART_RULES.filter(([, { entry }]) => hasSource(entry, sourceDirectory));
  const codeOf = async (name: PartName, entry: string): Promise<string> => {
    const code = (await buildPart(name, entry, sourceDirectory)).toString();
    if (minify === undefined) return code;
    // esbuild has made the names short; Terser chooses them so that they repeat, which saves each bundle 3 KB.
    return (await minify(code, MINIFY)).code!;
  };
  /** The code of a part, then name and code of each part that is packed with it, with NULs between. */
  const packed = async (part: PartName, own: string): Promise<Buffer> => {
    const others = rules.filter(([, { within }]) => within === part);
    const more = others.map(async ([name, { entry }]) => [`${name}.js`, await codeOf(name, entry)]);
    return pack([await codeOf(part, own), ...(await Promise.all(more)).flat()].join("\0"), quality);
  };
  const [bootstrap, actions, ...parts] = await Promise.all([
    buildPart("bootstrap", "agent/boot/bootstrap.ts", sourceDirectory),
    buildActions(sourceDirectory, minify),
    ...rules
      .filter(([, { within }]) => within === undefined)
      .map(async ([name, { entry }]) => [name, await packed(name, entry)] as const),
  ]);
  return {
    bootstrap,
    parts: Object.fromEntries(parts),
    actions: Buffer.from(JSON.stringify(actions)),
    isTight: minify !== undefined,
  };
}

async function pack(code: string, quality: number): Promise<Buffer> {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: quality,
    [constants.BROTLI_PARAM_SIZE_HINT]: code.length,
    // Larger blocks than brotli would choose: 0.1 % less.
    [constants.BROTLI_PARAM_LGBLOCK]: 20,
  };
  return promisify(brotliCompress)(code, { params }) as Promise<Buffer>;
}

async function buildPart(
  name: PartName | "bootstrap",
  entry: string,
  sourceDirectory: string,
): Promise<Buffer> {
  const root = fileURLToPath(new URL("..", sourceDirectory));
  const result = await build({
    entryPoints: [fileURLToPath(new URL(entry, sourceDirectory))],
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
      name === "bootstrap" || name === "runner"
        ? []
        : [await fromRunner(sourceDirectory, "part", name), ...(name === "template" ? [TRIM_NUNJUCKS] : [])],
    legalComments: "none",
    charset: "utf8",
    logLevel: "silent",
  });
  const [output] = Object.values(result.metafile.outputs);
  refuseForbidden(result.metafile, output!.entryPoint!, true);
  return Buffer.from(result.outputFiles[0]!.contents);
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
