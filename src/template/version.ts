import { fail } from "./errors.ts";
import { order } from "./operators.ts";
import { isInt, tuple, typeName } from "./values.ts";

type Part = number | string;

function looseParts(version: string): Part[] {
  return (version.match(/\d+|[a-z]+|[^\d.a-z]+/gi) ?? []).map((part) =>
    /^\d+$/.test(part) ? Number(part) : part,
  );
}

/** Loose order, as distutils' LooseVersion: numbers by value, words by letter, a longer version after its beginning. */
function compareLoose(left: string, right: string): number {
  const [a, b] = [looseParts(left), looseParts(right)];
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    const [x, y] = [a[index], b[index]];
    if (x === y) continue;
    // Python refuses to order a number and a word.
    if (isInt(x) !== isInt(y))
      return fail(
        `cannot compare the versions '${left}' and '${right}': '<' between ${typeName(x)} and ${typeName(y)}`,
      );
    return order(x, y);
  }
  return a.length - b.length;
}

const SEMANTIC = /^(\d+)\.(\d+)\.(\d+)(?:-([\w.-]+))?(?:\+[\w.-]+)?$/;

function compareSemantic(left: string, right: string): number {
  const [a, b] = [left, right].map(
    (text) => SEMANTIC.exec(text) ?? fail(`'${text}' is not a semantic version`),
  ) as [RegExpExecArray, RegExpExecArray];
  const numbers = (match: RegExpExecArray) => tuple(...match.slice(1, 4).map(Number));
  const core = order(numbers(a), numbers(b));
  if (core !== 0) return core;
  if (a[4] === undefined || b[4] === undefined)
    return Number(a[4] === undefined) - Number(b[4] === undefined);
  const [x, y] = [a[4].split("."), b[4].split(".")];
  for (let index = 0; index < Math.max(x.length, y.length); index++) {
    const [one, other] = [x[index], y[index]];
    if (one === undefined || other === undefined) return one === undefined ? -1 : 1;
    if (one === other) continue;
    const digits = [/^\d+$/.test(one), /^\d+$/.test(other)];
    if (digits[0] && digits[1]) return Number(one) - Number(other);
    if (digits[0] !== digits[1]) return digits[0] ? -1 : 1;
    return one < other ? -1 : 1;
  }
  return 0;
}

/** PEP 440 order of the parts in common use: release, then a/b/rc before it, .dev before those, .post after. */
function compareEpoch(left: string, right: string): number {
  const parse = (text: string) => {
    const match =
      /^v?(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[-_.]?(a|alpha|b|beta|rc|c|pre)[-_.]?(\d*))?(?:[-_.]?post[-_.]?(\d*))?(?:[-_.]?dev[-_.]?(\d*))?(?:\+.*)?$/i.exec(
        text.trim(),
      ) ?? fail(`'${text}' is not a version of PEP 440`);
    const release = (match[2] ?? "").split(".").map(Number);
    while (release.length > 1 && release.at(-1) === 0) release.pop();
    const stage = match[3]?.toLowerCase();
    const rank =
      stage === undefined
        ? match[6] !== undefined && match[5] === undefined
          ? 0
          : 4
        : stage.startsWith("a")
          ? 1
          : stage.startsWith("b")
            ? 2
            : 3;
    const [post, dev] = [
      match[5] === undefined ? -1 : Number(match[5]),
      match[6] === undefined ? Number.MAX_SAFE_INTEGER : Number(match[6]),
    ];
    return tuple(Number(match[1] ?? 0), release, rank, Number(match[4] || 0), post, dev);
  };
  return order(parse(left), parse(right));
}

/** Negative, zero or positive as a version is before, equal to or after another; `type` is Ansible's `version_type`. */
export function compareVersions(left: string, right: string, type: string): number {
  if (left === "" || right === "") return fail("a version is empty");
  switch (type) {
    case "loose":
    case "strict":
      return compareLoose(left, right);
    case "semver":
    case "semantic":
      return compareSemantic(left, right);
    case "pep440":
      return compareEpoch(left, right);
    default:
      return fail(`there is no version type '${type}'`);
  }
}
