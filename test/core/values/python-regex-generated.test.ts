import { execFileSync, spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { pythonRegex } from "../../../src/core/values/python-regex.ts";
import { type Draw, drawFrom } from "../../fuzz/lib/random.ts";

const COUNT = 4000;
const SEED = Number(process.env.VOLLEY_FUZZ_SEED ?? 20);

const LETTERS = [
  "a",
  "b",
  "B",
  "x",
  "é",
  "É",
  "ß",
  "1",
  "_",
  "-",
  " ",
  "\n",
  "\r",
  "\t",
  "\u2028",
  "😀",
  "k",
  "s",
  "\u00a0",
  "²",
];
const ATOMS = [
  ...["a", "b", "B", "x", "é", "É", "1", "_", "-", " ", "😀", "k", "s"],
  ...[".", ".", "^", "$", "\\A", "\\Z", "\\b", "\\B", "\\w", "\\W", "\\d", "\\D", "\\s", "\\S"],
  ...[
    "\\n",
    "\\r",
    "\\t",
    "\\.",
    "\\-",
    "\\/",
    "\\_",
    "\\ ",
    "\\\\",
    "\\x61",
    "\\u00e9",
    "\\141",
    "\\0",
    "]",
    "}",
    "{",
    "{a}",
  ],
  ...["#", "/", "&&", "~", "'"],
];
const IN_CLASS = [
  ...[
    "a",
    "b",
    "B",
    "x",
    "é",
    "1",
    "_",
    "-",
    " ",
    "😀",
    ".",
    "^",
    "$",
    "[",
    "&&",
    "||",
    "--",
    "a-c",
    "A-Z",
    "a-z",
    "à-ü",
    "0-9",
  ],
  ...[
    "\\w",
    "\\W",
    "\\d",
    "\\D",
    "\\s",
    "\\S",
    "\\n",
    "\\]",
    "\\-",
    "\\b",
    "\\x61",
    "\\1",
    "*",
    "(",
    "{",
    "}",
    "/",
  ],
];
const QUANTIFIERS = ["*", "+", "?", "*?", "+?", "??", "{1}", "{2}", "{0,1}", "{1,}", "{,2}", "{,}", "{1,2}?"];

function classOf(draw: Draw): string {
  let items = "";
  for (let count = 1 + draw.below(3); count > 0; count--) items += draw.pick(IN_CLASS);
  return `[${draw.chance(0.3) ? "^" : ""}${draw.chance(0.1) ? "]" : ""}${items}]`;
}

/** A pattern of Python's `re`; `groups` counts those it captures, which none of its loops repeat. */
function patternOf(draw: Draw, depth: number, groups: { count: number }, isRepeated = false): string {
  let pattern = "";
  for (let count = 1 + draw.below(4); count > 0; count--) {
    const kind = draw.below(10);
    const quantified = draw.chance(0.35);
    if (draw.chance(0.02)) pattern += "(?#note)x";
    if (depth > 0 && kind < 3) {
      const below = (open: string): string =>
        `${open}${patternOf(draw, depth - 1, groups, isRepeated || quantified)})`;
      if (!isRepeated && !quantified && draw.chance(0.5)) {
        const name = ++groups.count;
        pattern += below(draw.chance(0.3) ? `(?P<g${name}>` : "(");
        if (draw.chance(0.2)) pattern += draw.chance(0.5) ? `\\${name}` : "";
        continue;
      }
      pattern += below(
        draw.pick(["(?:", "(?i:", "(?-i:", "(?s:", "(?m:", "(?im:", "(?a:", "(?x:", "(?=", "(?!"]),
      );
    } else {
      pattern += kind < 5 ? classOf(draw) : draw.pick(ATOMS);
    }
    // Which way out of a loop is tried first where a round of it may be empty, is each engine's own.
    if (quantified)
      pattern += draw.pick(isRepeated ? QUANTIFIERS.filter((one) => !/.[?]$/.test(one)) : QUANTIFIERS);
    if (draw.chance(0.08)) pattern += "|";
  }
  return pattern;
}

interface Case {
  readonly pattern: string;
  readonly text: string;
  readonly flags: { readonly ignoreCase: boolean; readonly multiline: boolean; readonly dotAll: boolean };
  readonly unicode: boolean;
  readonly anchored: "" | "start" | "both";
}

function caseOf(draw: Draw): Case {
  const one = anyCase(draw);
  // A character that is several bytes is no one character to Python there.
  return one.unicode || /^(?:(?!\\u)[\0-\x7f])*$/.test(one.pattern + one.text)
    ? one
    : { ...one, unicode: true };
}

function anyCase(draw: Draw): Case {
  let text = "";
  for (let count = draw.below(7); count > 0; count--) text += draw.pick(LETTERS);
  const start = draw.chance(0.2) ? draw.pick(["(?i)", "(?m)", "(?s)", "(?x)", "(?im)", "(?a)"]) : "";
  return {
    pattern: start + patternOf(draw, 2, { count: 0 }),
    text,
    flags: { ignoreCase: draw.chance(0.3), multiline: draw.chance(0.3), dotAll: draw.chance(0.2) },
    unicode: draw.chance(0.7),
    anchored: draw.pick(["", "", "start", "both"]),
  };
}

// Prints the first match and its groups; null for no match, "error" for a refused pattern. Places count characters.
const PYTHON = `
import json, re, sys, warnings
warnings.simplefilter("ignore")
found = []
for case in json.load(sys.stdin):
    flags = case["flags"]
    value = (re.I if flags["ignoreCase"] else 0) | (re.M if flags["multiline"] else 0) | (re.S if flags["dotAll"] else 0)
    isText = case["unicode"]
    encode = (lambda text: text) if isText else (lambda text: text.encode())
    decode = (lambda text: text) if isText else (lambda text: text.decode("utf8", "surrogateescape"))
    try:
        regex = re.compile(encode(case["pattern"]), value)
        how = {"": regex.search, "start": regex.match, "both": regex.fullmatch}[case["anchored"]]
        match = how(encode(case["text"]))
        found.append(match and [decode(each or encode("")) for each in (match.group(0), *match.groups())])
    except (re.error, OverflowError, RecursionError):
        found.append("error")
json.dump(found, sys.stdout)
`;

function volley({ pattern, text, flags, unicode, anchored }: Case): unknown {
  let regex: RegExp;
  try {
    regex = pythonRegex(pattern, { ...flags, unicode, ...(anchored === "" ? {} : { anchored }) });
  } catch {
    return "error";
  }
  const match = regex.exec(text);
  return match && Array.from(match, (group) => group ?? "");
}

const hasPython =
  spawnSync("python3", ["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).status === 0;

test.runIf(hasPython)(`generated patterns find what Python's re finds (seed ${SEED})`, () => {
  const draw = drawFrom(SEED);
  const cases = Array.from({ length: COUNT }, () => caseOf(draw));
  const input = JSON.stringify(cases);
  const found = JSON.parse(
    execFileSync("python3", ["-c", PYTHON], { input, encoding: "utf8", maxBuffer: 1 << 26 }),
  ) as readonly unknown[];
  const wrong = cases.flatMap((one, index) => {
    const [python, ours] = [found[index], volley(one)];
    // A comment or a blank between two quantifiers is taken for nothing here, for an error there.
    if (python === "error" && /[*+?}](?: |\(\?#note\))+[*+?{]/.test(one.pattern)) return [];
    // Volley refuses a backreference where only a part of the pattern ignores case.
    if (ours === "error" && /\\[1-9]/.test(one.pattern) && /\(\?-?i/.test(one.pattern)) return [];
    return JSON.stringify(python) === JSON.stringify(ours) ? [] : [{ ...one, python, ours }];
  });
  const refusals = found.filter((each) => each === "error").length;
  const matches = found.filter(Array.isArray).length;
  expect(refusals).toBeLessThan(COUNT / 2);
  expect(matches).toBeGreaterThan(COUNT / 8);
  expect(
    wrong.length,
    JSON.stringify(wrong.slice(0, 40), null, 0).replaceAll('},{"pattern', '},\n{"pattern'),
  ).toBe(0);
});
