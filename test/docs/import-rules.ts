import { readFileSync } from "node:fs";
import { ROOT } from "./markdown.ts";

interface Override {
  readonly includes: readonly string[];
  readonly linter?: {
    readonly rules?: {
      readonly style?: { readonly noRestrictedImports?: { readonly options: Restrictions } };
    };
  };
}

interface Restrictions {
  readonly paths: Readonly<Record<string, string>>;
  readonly patterns: readonly { readonly group: readonly string[] }[];
}

/** The rows ARCHITECTURE.md's table must have, in the order of its own and with its order within cells: what no rule of biome.json forbids. */
export function enforcedImports(rows: readonly (readonly string[])[]): readonly (readonly string[])[] {
  const { overrides } = JSON.parse(readFileSync(`${ROOT}biome.json`, "utf8")) as {
    overrides: readonly Override[];
  };
  const rules = new Map<string, { packages: ReadonlySet<string>; groups: ReadonlySet<string> }>();
  for (const { includes, linter } of overrides) {
    const folder = /^src\/([\w-]+)\/\*\*$/.exec(includes[0] ?? "")?.[1];
    const options = linter?.rules?.style?.noRestrictedImports?.options;
    if (folder === undefined || options === undefined) continue;
    const groups = options.patterns.flatMap(({ group }) =>
      group.map((glob) => glob.replace(/^\*\*\/(.*)\/\*\*$/, "$1")),
    );
    rules.set(folder, { packages: new Set(Object.keys(options.paths)), groups: new Set(groups) });
  }
  const folders = new Set(["core", ...[...rules.values()].flatMap(({ groups }) => [...groups])]);
  folders.delete("node:*");
  const packages = new Set([...rules.values()].flatMap(({ packages: some }) => [...some]));
  const left = (
    all: ReadonlySet<string>,
    without: ReadonlySet<string>,
    order: string | undefined,
  ): string => {
    const names = [...all].filter((name) => !without.has(name));
    const listed = order?.split(", ") ?? [];
    names.sort((a, b) => listed.indexOf(a) - listed.indexOf(b));
    return names.length === 0 ? "–" : names.join(", ");
  };
  const order = [...rules.keys()].sort(
    (a, b) => rows.findIndex(([row]) => row === a) - rows.findIndex(([row]) => row === b),
  );
  return order.map((folder) => {
    const { packages: forbidden, groups } = rules.get(folder)!;
    const row = rows.find(([first]) => first === folder);
    return [
      folder,
      left(folders, new Set([...groups, folder]), row?.[1]),
      left(packages, forbidden, row?.[2]),
      groups.has("node:*") ? "no" : "yes",
    ];
  });
}
