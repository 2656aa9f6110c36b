// Versions of Python packages, as the version specifiers of Python's packaging (PEP 440) define them.

interface Version {
  readonly epoch: number;
  readonly release: readonly number[];
  /** Phase and number of a pre-release. */
  readonly pre: readonly [phase: number, number: number] | null;
  readonly post: number | null;
  readonly dev: number | null;
  readonly local: readonly (string | number)[];
}

const VERSION =
  /^v?(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?(\d*))?(?:(?:[-_.]?(?:post|rev|r)[-_.]?(\d*))|(?:-(\d+)))?(?:[-_.]?(dev)[-_.]?(\d*))?(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$/;

const PHASES: Readonly<Record<string, number>> = {
  a: 0,
  alpha: 0,
  b: 1,
  beta: 1,
  c: 2,
  rc: 2,
  pre: 2,
  preview: 2,
};

function parse(text: string): Version | null {
  const match = VERSION.exec(text.trim().toLowerCase());
  if (match === null) return null;
  const [, epoch, release = "", phase, phaseNumber, post, plainPost, dev, devNumber, local] = match;
  return {
    epoch: Number(epoch ?? 0),
    release: release.split(".").map(Number),
    pre: phase === undefined ? null : [PHASES[phase]!, Number(phaseNumber || 0)],
    post: post === undefined && plainPost === undefined ? null : Number(post || plainPost || 0),
    dev: dev === undefined ? null : Number(devNumber || 0),
    local:
      local === undefined
        ? []
        : local.split(/[-_.]/).map((part) => (/^\d+$/.test(part) ? Number(part) : part)),
  };
}

function comparePublic(a: Version, b: Version): number {
  if (a.epoch !== b.epoch) return a.epoch - b.epoch;
  for (let index = 0; index < Math.max(a.release.length, b.release.length); index++) {
    const difference = (a.release[index] ?? 0) - (b.release[index] ?? 0);
    if (difference !== 0) return difference;
  }
  const left = stageKey(a);
  const right = stageKey(b);
  for (const [index, value] of left.entries()) {
    if (value !== right[index]) return value < right[index]! ? -1 : 1;
  }
  return 0;
}

/** Order of a release's stages: development, pre-releases, the release itself, post-releases. */
function stageKey({ pre, post, dev }: Version): readonly number[] {
  const none = pre === null && post === null && dev !== null ? -1 : 3;
  return [pre?.[0] ?? none, pre?.[1] ?? 0, post ?? -1, dev ?? Number.POSITIVE_INFINITY];
}

function compareLocal(a: Version, b: Version): number {
  for (let index = 0; index < Math.max(a.local.length, b.local.length); index++) {
    const [x, y] = [a.local[index], b.local[index]];
    if (x === y) continue;
    if (x === undefined) return -1;
    if (y === undefined) return 1;
    if (typeof x !== typeof y) return typeof x === "number" ? 1 : -1;
    return x < y ? -1 : 1;
  }
  return 0;
}

const CLAUSE = /^(~=|===|==|!=|<=|>=|<|>)\s*(\S+)$/;

/** Tell whether a version satisfies specifiers such as `>=1.0,!=1.5`; null for what is no version or specifier. */
export function satisfies(version: string, specifiers: string): boolean | null {
  const found = parse(version);
  const clauses = specifiers
    .split(",")
    .map((clause) => clause.trim())
    .filter((clause) => clause !== "");
  for (const clause of clauses) {
    const [, operator, wanted = ""] = CLAUSE.exec(clause) ?? [];
    if (operator === undefined) return null;
    if (operator === "===") {
      if (version.toLowerCase() !== wanted.toLowerCase()) return false;
      continue;
    }
    const holds = found === null ? null : holdsClause(found, operator, wanted);
    if (holds !== true) return holds;
  }
  return true;
}

function holdsClause(found: Version, operator: string, wanted: string): boolean | null {
  const isPrefix = wanted.endsWith(".*");
  const other = parse(isPrefix ? wanted.slice(0, -2) : wanted);
  if (other === null || (isPrefix && operator !== "==" && operator !== "!=")) return null;
  const order = comparePublic(found, other);
  const sameRelease =
    comparePublic(
      { ...found, pre: null, post: null, dev: null },
      { ...other, pre: null, post: null, dev: null },
    ) === 0;
  switch (operator) {
    case "==":
    case "!=": {
      const equal = isPrefix
        ? hasPrefix(found, other)
        : order === 0 && (other.local.length === 0 || compareLocal(found, other) === 0);
      return equal === (operator === "==");
    }
    case "<=":
      return order <= 0;
    case ">=":
      return order >= 0;
    case "<":
      // A pre-release of the version itself is not meant, nor is a post-release by ">".
      return order < 0 && !(sameRelease && found.pre !== null && other.pre === null);
    case ">":
      return order > 0 && !(sameRelease && found.post !== null && other.post === null);
    default:
      return order >= 0 && hasPrefix(found, { ...other, release: other.release.slice(0, -1), pre: null });
  }
}

function hasPrefix(found: Version, prefix: Version): boolean {
  return (
    found.epoch === prefix.epoch &&
    prefix.release.every((part, index) => (found.release[index] ?? 0) === part) &&
    (prefix.pre === null || (found.pre?.[0] === prefix.pre[0] && found.pre[1] === prefix.pre[1]))
  );
}
