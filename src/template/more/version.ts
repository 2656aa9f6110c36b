import { fail } from "../errors.ts";
import { order } from "../operators.ts";
import { tuple } from "../values.ts";

const SEMANTIC = /^(\d+)\.(\d+)\.(\d+)(?:-([\w.-]+))?(?:\+[\w.-]+)?$/;

const STRICT = /^(\d+)\.(\d+)(?:\.(\d+))?(?:([ab])(\d+))?$/;

/** Compare as distutils' StrictVersion does: two or three numbers, perhaps with a pre-release. */
export function compareStrict(left: string, right: string): number {
  const [a, b] = [left, right].map((text) => {
    const match = STRICT.exec(text) ?? fail(`Version comparison failed: invalid version number '${text}'`);
    const [, major, minor, patch = "0", stage = "z", number = "0"] = match;
    return tuple(Number(major), Number(minor), Number(patch), stage, Number(number));
  });
  return order(a, b);
}

/** Compare by semver.org, version 2. */
export function compareSemantic(left: string, right: string): number {
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

/** Compare by PEP 440, for the parts in common use: .dev, then a/b/rc, then the release, then .post. */
export function compareEpoch(left: string, right: string): number {
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
