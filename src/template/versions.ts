import { fail } from "./errors.ts";
import { order } from "./operators.ts";
import { isInt, typeName } from "./values.ts";

type Part = number | string;

function looseParts(version: string): Part[] {
  return (version.match(/\d+|[a-z]+|[^\d.a-z]+/gi) ?? []).map((part) =>
    /^\d+$/.test(part) ? Number(part) : part,
  );
}

/** Compare as distutils' LooseVersion does: numbers by value, words by letter, a longer version after its beginning. */
export function compareLoose(left: string, right: string): number {
  const [a, b] = [looseParts(left), looseParts(right)];
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    const [x, y] = [a[index], b[index]];
    if (x === y) continue;
    // Python refuses to order a number and a word.
    if (isInt(x) !== isInt(y))
      return fail(
        `Version comparison failed: '<' not supported between instances of '${typeName(x)}' and '${typeName(y)}'`,
      );
    return order(x, y);
  }
  return a.length - b.length;
}
