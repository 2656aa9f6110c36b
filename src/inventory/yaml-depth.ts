/** Deeper than anything one writes, and far from where the parser, which follows each level inwards, runs out of stack. */
const MAX_LEVELS = 500;

/** The part of the parser that takes a text apart without following anything inwards. */
interface Lexing {
  readonly Lexer: new () => { lex(text: string): Iterable<string> };
}

/** What the lexer puts in front of a scalar. */
const SCALAR = "\u001f";

/**
 * Whether YAML is nested too deeply to be parsed. This is not left to the parser: where the stack ends amid the
 * compilation of a regular expression V8 ends the whole process, and nothing can be caught.
 */
export function isTooDeep(yaml: Lexing, text: string): boolean {
  return indicators(text) > MAX_LEVELS || (brackets(text) > MAX_LEVELS && flowDepth(yaml, text) > MAX_LEVELS);
}

/** The most levels that blanks and `- `, `? ` and `: ` open on one line. */
function indicators(text: string): number {
  let most = 0;
  let levels = 0;
  let counts = true;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (character === " " || character === "\t") {
      if (counts) levels++;
    } else if ("-?:".includes(character) && /\s/.test(text[at + 1] ?? "")) {
      levels++;
      counts = true;
    } else {
      levels = 0;
      counts = character === "\n";
    }
    if (levels > most) most = levels;
  }
  // A level takes two characters, or is a line's indentation.
  return Math.ceil(most / 2);
}

/** The most brackets that are open anywhere, those in texts and comments included. */
function brackets(text: string): number {
  let most = 0;
  let open = 0;
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    open = Math.max(0, open + (bracket === "[" || bracket === "{" ? 1 : -1));
    if (open > most) most = open;
  }
  return most;
}

function flowDepth(yaml: Lexing, text: string): number {
  let most = 0;
  let open = 0;
  let isScalar = false;
  for (const lexeme of new yaml.Lexer().lex(text)) {
    if (isScalar) isScalar = false;
    else if (lexeme === SCALAR) isScalar = true;
    else if (lexeme === "[" || lexeme === "{") most = Math.max(most, ++open);
    else if (lexeme === "]" || lexeme === "}") open = Math.max(0, open - 1);
  }
  return most;
}
