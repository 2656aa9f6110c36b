import { createHash } from "node:crypto";
import type { CompiledTemplate, Runtime } from "./runtime.ts";
import { compileTemplate } from "./syntax/compiler.ts";
import { type LexerOptions, readHeader } from "./syntax/lexer.ts";
import { parseTemplate } from "./syntax/parser.ts";

// Templates as code: compiled where they are rendered, or before, when a bundle is built.

/** The code of a template, which any engine can run, under any name. */
export type TemplateCode = (runtime: Runtime, name: string) => CompiledTemplate;

/** Templates in the style that files have by default, by {@link templateKey}. */
export type PrecompiledTemplates = Readonly<Record<string, TemplateCode>>;

/** The style of template files, unless a task or a header says otherwise: that of Ansible's template module. */
export const FILE_STYLE: LexerOptions = {
  trimBlocks: true,
  lstripBlocks: false,
  keepTrailingNewline: false,
};

/** Longer templates are compiled on the host: their code would be several times as long. */
const MAX_SOURCE_LENGTH = 64 * 1024;

/** Return the key of a template's text. */
export function templateKey(source: string): string {
  return createHash("sha256").update(source).digest("base64").slice(0, 22);
}

/** Compile a template to the body of a function of `runtime` and `name`. Fails with `SyntaxFailure`. */
export function templateBody(source: string, style: LexerOptions): string {
  const { body, options } = readHeader(source, style);
  return compileTemplate(parseTemplate(body, options));
}

/**
 * Write a CommonJS module that exports {@link PrecompiledTemplates}; undefined when there is nothing to compile. A text
 * with faults is left out: the host that renders it tells of them.
 */
export function precompile(sources: Iterable<string>): string | undefined {
  const bodies = new Map<string, string>();
  for (const source of sources) {
    if (source.length > MAX_SOURCE_LENGTH || !source.includes("{")) continue;
    try {
      bodies.set(templateKey(source), templateBody(source, FILE_STYLE));
    } catch {
      // The host compiles it again, and says what is wrong and where.
    }
  }
  if (bodies.size === 0) return undefined;
  const functions = [...bodies].map(([key, body]) => `${JSON.stringify(key)}(runtime, name) {\n${body}}`);
  return `module.exports = {\n${functions.join(",\n")}\n};`;
}
