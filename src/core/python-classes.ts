/** What `\d`, `\s` and `\w` mean to Python: by Unicode in `str`, ASCII only in `bytes`. Each is the inside of a JavaScript class. */
interface Classes {
  readonly [letter: string]: string;
}

const IN_BYTES: Classes = {
  d: "0-9",
  D: "\\0-/:-\\u{10ffff}",
  s: "\\t-\\r ",
  S: "\\0-\\x08\\x0e-\\x1f!-\\u{10ffff}",
  w: "0-9A-Z_a-z",
  W: "\\0-/:-@\\[-\\^`\\{-\\u{10ffff}",
};

// What is no letter, number or underscore is written as all the other categories: a class cannot hold a negated one.
const IN_TEXT: Classes = {
  d: "\\p{Nd}",
  D: "\\P{Nd}",
  s: "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000",
  S: "\\0-\\x08\\x0e-\\x1b!-\\x84\\x86-\\x9f\\xa1-\\u167f\\u1681-\\u1fff\\u200b-\\u2027\\u202a-\\u202e\\u2030-\\u205e\\u2060-\\u2fff\\u3001-\\u{10ffff}",
  w: "\\p{L}\\p{N}_",
  W: "\\p{M}\\p{S}\\p{Z}\\p{C}\\p{Pd}\\p{Ps}\\p{Pe}\\p{Pi}\\p{Pf}\\p{Po}\\u203f\\u2040\\u2054\\ufe33\\ufe34\\ufe4d-\\ufe4f\\uff3f",
};

/** The inside of a class that holds what `\d`, `\D`, `\s`, `\S`, `\w` or `\W` matches; undefined for any other letter. */
export function pythonClass(letter: string, unicode: boolean): string | undefined {
  return (unicode ? IN_TEXT : IN_BYTES)[letter];
}

/** `\b`, or with `not` `\B`: where a word begins or ends. */
export function wordBoundary(unicode: boolean, not: boolean): string {
  const word = `[${pythonClass("w", unicode)}]`;
  // Python finds neither in an empty text.
  return not
    ? `(?!^$)(?:(?<=${word})(?=${word})|(?<!${word})(?!${word}))`
    : `(?:(?<=${word})(?!${word})|(?<!${word})(?=${word}))`;
}
