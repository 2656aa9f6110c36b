import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import type { Plugin } from "esbuild";

/**
 * The methods of nunjucks' parser that template/ neither overrides nor does without, and those that these call. Of
 * lexer.js the constants are used only.
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

/** A method, from its name to the brace that stands below its beginning. */
const METHOD = /^ {2}_proto\.(\w+) = function [\s\S]*?^ {2}\}/gm;

/** What runtime.js exports, at its end. */
const EXPORTS = /^module\.exports = \{[\s\S]*\}/m;

/** What object.js uses of lib.js, which the language has by now; the rest is used by what is left out. */
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
  // As an ES module, of which the bundler leaves out what nothing uses.
  const trimmed = text.replace(EXPORTS, "export default { Frame }");
  if (trimmed === text) throw new Error(`nunjucks' ${file} is not as expected: exports not found`);
  return trimmed;
}

/**
 * Leaves out of nunjucks, whose version is pinned, what template/ does without: most of it, which a bundler cannot know
 * of prototypes and CommonJS.
 */
export const TRIM_NUNJUCKS: Plugin = {
  name: "trim-nunjucks",
  setup: ({ onLoad }) => {
    onLoad({ filter: /[\\/]nunjucks[\\/]src[\\/]lib\.js$/ }, () => ({ contents: LIB, loader: "js" }));
    onLoad({ filter: /[\\/]nunjucks[\\/]src[\\/](?:lexer|parser|runtime)\.js$/ }, async ({ path }) => {
      const file = basename(path);
      const text = await readFile(path, "utf8");
      return { contents: (file === "runtime.js" ? withFrameOnly : withMethods)(file, text), loader: "js" };
    });
  },
};
