const BRACKETS = /\[([^[\]]*)\]/;
const ALL_BRACKETS = /\[([^[\]]*)\]/g;
const RANGE = /^(\d*|[A-Za-z]):(\d+|[A-Za-z])(?::(\d+))?$/;
const MAX_NAMES = 65_536;
/** In one name. */
const MAX_RANGES = 32;

/** What stands between commas in ClusterShell's ranges: a number, or two, with a step. */
const PIECE = /^(\d+)(?:-(\d+)(?:\/(\d+))?)?$/;
/** Two pieces, or one that is more than a number. */
const PIECES = /^\d+(?:-\d+(?:\/\d+)?|,)[\d,/-]*$/;

/**
 * Whether a name in a pattern holds a range: `[01:20]`, or as ClusterShell writes them `[01-17,19]`. Brackets around
 * single digits, `[1-3]`, are left to be a glob's character class: as one they stand for the same names.
 */
export function hasRange(text: string): boolean {
  return [...text.matchAll(ALL_BRACKETS)].some(
    ([, inner = ""]) => RANGE.test(inner) || (PIECES.test(inner) && /\d\d|\//.test(inner)),
  );
}

function numbers(from: string, to: string, step: number, fail: (problem: string) => never): string[] {
  const padded = from.length > 1 && from.startsWith("0");
  if (padded && from.length !== to.length) {
    fail(`both ends of [${from}:${to}] must have as many digits, because the first begins with 0`);
  }
  const first = Number(from);
  const last = Number(to);
  if (first > last) fail(`[${from}:${to}] runs backwards`);
  if ((last - first) / step >= MAX_NAMES) fail(`[${from}:${to}] is more than ${MAX_NAMES} hosts`);
  const names: string[] = [];
  for (let value = first; value <= last; value += step) {
    names.push(padded ? String(value).padStart(from.length, "0") : String(value));
  }
  return names;
}

function letters(from: string, to: string, step: number, fail: (problem: string) => never): string[] {
  const upper = (letter: string): boolean => letter === letter.toUpperCase();
  if (upper(from) !== upper(to)) fail(`[${from}:${to}] mixes upper and lower case`);
  if (from > to) fail(`[${from}:${to}] runs backwards`);
  const names: string[] = [];
  for (let code = from.charCodeAt(0); code <= to.charCodeAt(0); code += step)
    names.push(String.fromCharCode(code));
  return names;
}

function ansibleRange(inner: string, fail: (problem: string) => never): string[] {
  const range = RANGE.exec(inner);
  if (range === null) return fail(`[${inner}] is no range; ranges are written [01:20], [a:f] or [1:9:2]`);
  const [, written, to, stepText] = range;
  const from = written === "" ? "0" : written!;
  const step = stepText === undefined ? 1 : Number(stepText);
  if (step === 0) fail(`the step of [${inner}] is 0`);
  const numeric = /^\d+$/.test(from);
  if (numeric !== /^\d+$/.test(to!)) fail(`[${inner}] mixes digits and letters`);
  return (numeric ? numbers : letters)(from, to!, step, fail);
}

function pieces(inner: string, fail: (problem: string) => never): string[] {
  const names = inner.split(",").flatMap((piece) => {
    const [, from, to = from, step = "1"] = PIECE.exec(piece) ?? [];
    if (from === undefined)
      return fail(`"${piece}" in [${inner}] is neither a number nor a range such as 01-17`);
    if (Number(step) === 0) return fail(`the step of [${inner}] is 0`);
    return numbers(from, to!, Number(step), (problem) => fail(problem.replace(/(\d):(\d)/, "$1-$2")));
  });
  return [...new Set(names)];
}

/**
 * The names a name with ranges stands for, as Ansible's inventories write them (`web[01:20]`, `db-[a:c]`, `[1:9:2]`)
 * and as ClusterShell does (`web[01-17,19]`, `[0-8/2]`); several ranges multiply. `fail` is told what is wrong and
 * must throw.
 */
export function expandRanges(text: string, fail: (problem: string) => never): readonly string[] {
  return expand(text, fail, 0);
}

function expand(text: string, fail: (problem: string) => never, ranges: number): readonly string[] {
  const match = BRACKETS.exec(text);
  if (match === null) return [text];
  if (ranges === MAX_RANGES) fail(`it holds more than ${MAX_RANGES} ranges`);
  const middles = PIECES.test(match[1]!) ? pieces(match[1]!, fail) : ansibleRange(match[1]!, fail);
  const head = text.slice(0, match.index);
  const tails = expand(text.slice(match.index + match[0].length), fail, ranges + 1);
  if (middles.length * tails.length > MAX_NAMES) fail(`it stands for more than ${MAX_NAMES} hosts`);
  return middles.flatMap((middle) => tails.map((tail) => `${head}${middle}${tail}`));
}
