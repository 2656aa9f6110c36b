import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fingerprint } from "./cache.ts";
import { type OwnParts, PART_RULES, type PartName } from "./parts.ts";
import { volleyVersion } from "./this-package.ts";

/** The names in the package of what Volley puts into bundles. */
const NAMES = { bootstrap: "bootstrap.js", actions: "actions.json" } as const;

/** The name of a part, in the package and in bundles. */
export function partFile(name: PartName): string {
  return `${name}.js.br`;
}

/** List the files of the package that {@link loadOwnParts} reads, with their content. */
export function ownPartFiles({
  bootstrap,
  actions,
  parts,
}: OwnParts): readonly (readonly [string, Buffer])[] {
  return [
    [NAMES.bootstrap, bootstrap],
    [NAMES.actions, actions],
    ...Object.entries(parts).map(([name, packed]) => [partFile(name as PartName), packed] as const),
  ];
}

let built: Promise<OwnParts> | undefined;

/** Load what Volley puts into bundles: from the installed package, or built from source in a checkout that runs from source. */
export function loadOwnParts(): Promise<OwnParts> {
  built ??= readOrBuild();
  return built;
}

/**
 * Return what tells these parts from others. Of the installed package that is its version, because npm sets the times of
 * all files to one day, and the times and sizes of its files: a bundle that is fresh is found without reading them.
 */
export async function identifyOwnParts(): Promise<string> {
  const directory = partsDirectory();
  if (directory === undefined) return digestOwnParts(await loadOwnParts());
  const files = [...Object.values(NAMES), ...PART_RULES.map(([name]) => partFile(name))];
  const taken = fingerprint(files.map((file) => fileURLToPath(new URL(file, directory))));
  return JSON.stringify([volleyVersion(), taken]);
}

/** Return what tells given parts from others. */
export function digestOwnParts(parts: OwnParts): string {
  const hash = createHash("sha256");
  for (const [, content] of ownPartFiles(parts)) hash.update(content);
  return hash.digest("hex");
}

async function readOrBuild(): Promise<OwnParts> {
  const directory = partsDirectory();
  if (directory === undefined) {
    const { buildOwnParts } = await import("./build-parts.ts");
    return buildOwnParts(new URL("../", import.meta.url).href);
  }
  const read = (file: string): Buffer => readFileSync(new URL(file, directory));
  const parts = PART_RULES.filter(([name]) => existsSync(fileURLToPath(new URL(partFile(name), directory))));
  return {
    bootstrap: read(NAMES.bootstrap),
    actions: read(NAMES.actions),
    parts: Object.fromEntries(parts.map(([name]) => [name, read(partFile(name))])),
    isTight: true,
  };
}

/** The directory of the built parts in the package; undefined when Volley runs from source. */
function partsDirectory(): URL | undefined {
  if (import.meta.url.endsWith(".ts")) return undefined;
  // Chunks lie at differing depths below dist.
  return ["./agent/", "../agent/", "../../agent/"]
    .map((candidate) => new URL(candidate, import.meta.url))
    .find((directory) => existsSync(fileURLToPath(new URL(partFile("runner"), directory))));
}
