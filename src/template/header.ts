import { fail } from "./errors.ts";
import type { LexerOptions, Marks } from "./lexer.ts";

const HEADER = /^#jinja2:([^\n]*)(?:\n|$)/;
const OPTIONS: Readonly<Record<string, "trimBlocks" | "lstripBlocks" | "keepTrailingNewline">> = {
  trim_blocks: "trimBlocks",
  lstrip_blocks: "lstripBlocks",
  keep_trailing_newline: "keepTrailingNewline",
};
const MARK = /^(block|variable|comment)_(start|end)_string$/;

/** Takes Ansible's `#jinja2: trim_blocks:False, variable_start_string:'[%', …` line off a template, and what it says into the options. */
export function readHeader(
  source: string,
  options: LexerOptions,
): { readonly body: string; readonly options: LexerOptions } {
  const header = HEADER.exec(source);
  if (header === null) return { body: source, options };
  const changed: Partial<Record<"trimBlocks" | "lstripBlocks" | "keepTrailingNewline", boolean>> = {};
  let marks: Marks = options.marks ?? {};
  for (const part of (header[1] ?? "").split(",")) {
    const [name = "", text = ""] = part.split(":").map((piece) => piece.trim());
    const value = /^(['"])(.*)\1$/.exec(text)?.[2] ?? text;
    if (MARK.test(name)) {
      if (value === "") fail(`the #jinja2 header gives no ${name}`);
      marks = { ...marks, [name]: value };
    } else
      changed[OPTIONS[name] ?? fail(`the #jinja2 header does not know '${name}'`)] =
        /^(?:true|yes|on|1)$/i.test(value);
  }
  return { body: source.slice(header[0].length), options: { ...options, ...changed, marks, firstLine: 1 } };
}
