import type { YAMLParseError } from "yaml";

/** By code of the YAML library, and part of its message where a code stands for several faults. */
const WORDS: readonly (readonly [code: string, said: RegExp, words: string])[] = [
  ["MULTIPLE_DOCS", /./, "a second document begins here (---); a file holds one"],
  ["BLOCK_AS_IMPLICIT_KEY", /./, 'text with ": " in it must be in quotes'],
  ["MULTILINE_IMPLICIT_KEY", /./, "a key must stand on one line, and at the column of its neighbours"],
  ["MISSING_CHAR", /map values/, 'this line has no ":" behind a key'],
  ["MISSING_CHAR", /'quote/, "the quote ' is not closed"],
  ["MISSING_CHAR", /"quote/, 'the quote " is not closed'],
  ["MISSING_CHAR", /directives-end/, "a line with --- must follow the lines that begin with %"],
  ["UNEXPECTED_TOKEN", /map-end|seq-end/, "this bracket closes none"],
  [
    "UNEXPECTED_TOKEN",
    /scalar (?:at node end|token)/,
    "text stands here that belongs to nothing; look at the indentation, or put the whole value in quotes",
  ],
];

/** What is wrong with a YAML file, in words for whoever wrote it: the library's own speak of its functions and tokens. */
export function describeYamlProblem({ code, message }: Pick<YAMLParseError, "code" | "message">): string {
  const found = WORDS.find(([known, said]) => known === code && said.test(message));
  return found?.[2] ?? message.replace(/^[A-Z]/, (letter) => letter.toLowerCase());
}
