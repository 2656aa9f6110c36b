import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";
import { PART_RULES, type PartName } from "./parts.ts";

// The runner lends code to the other parts of a bundle: a copy would make bundles larger, and a class would be another
// class to each. Parts require "core" (the files that agent/shared-core.ts lists) and "valibot" (the functions that
// actions/valibot.ts lists), and require each other by name.

/** Terser's `minify`, as far as it is used. */
export type Minify = (code: string, options: typeof MINIFY) => Promise<{ readonly code?: string }>;

/** How Terser minifies. ASCII alone, because V8 holds a text with a character beyond Latin-1 in two bytes a character. */
export const MINIFY = { compress: false, mangle: { toplevel: true }, format: { ascii_only: true } } as const;

const FACADE = "valibot-facade";
const SINGLE = "valibot-single";
const LATE = "late-part";
const BORROWED = "borrowed";

/** Return the files whose exports a list exports again. */
async function filesOf(list: string): Promise<ReadonlySet<string>> {
  const exported = (await readFile(list, "utf8")).matchAll(/^export \* from "(.+)";$/gm);
  return new Set([...exported].map(([, path = ""]) => resolve(dirname(list), path)));
}

/**
 * Make a build take from outside what the runner lends. A `part` holds the other files that it imports, and requires
 * other parts when it first calls them. A `module`, one source file, leaves all files outside, and functions of valibot
 * that are not lent as well: `valibot/NAME`.
 */
export async function fromRunner(
  sourceDirectory: string,
  kind: "part" | "module",
  name?: PartName,
): Promise<Plugin> {
  const source = fileURLToPath(sourceDirectory);
  const root = resolve(source, "..");
  const lent = await filesOf(resolve(source, "agent/shared-core.ts"));
  const borrows = PART_RULES.find(([part]) => part === name)?.[1].borrows;
  const borrowed = borrows === undefined ? new Set() : await filesOf(resolve(source, borrows.list));
  const parts = new Map<string, string>(
    PART_RULES.filter(([name]) => name !== "runner").map(([name, { entry }]) => [
      resolve(source, entry),
      name,
    ]),
  );
  return {
    name: "from-runner",
    setup: ({ onResolve, onLoad }) => {
      onResolve({ filter: /.*/ }, ({ path, kind: how }) => {
        if (how !== "entry-point" || kind === "part") return undefined;
        return path.startsWith("valibot/")
          ? { path, namespace: SINGLE }
          : { path: resolve(source, `${path}.ts`) };
      });
      onResolve({ filter: /\.ts$/ }, ({ path, resolveDir, kind: how }) => {
        if (how === "entry-point") return undefined;
        const file = resolve(resolveDir, path);
        if (lent.has(file)) return { path: "core", external: true, sideEffects: false };
        if (borrowed.has(file)) return { path: file, namespace: BORROWED, pluginData: borrows?.from };
        const part = parts.get(file);
        if (part !== undefined) return { path: file, namespace: LATE, pluginData: part };
        return kind === "part"
          ? undefined
          : { path: relative(source, file).replace(/\.ts$/, ""), external: true, sideEffects: false };
      });
      onLoad({ filter: /.*/, namespace: LATE }, async ({ path, pluginData }) => ({
        contents: (await exportsOf(path, root))
          .map(
            (name) =>
              `export const ${name} = (...given) => require(${JSON.stringify(pluginData)}).${name}(...given);`,
          )
          .join("\n"),
      }));
      // A part that lends files exports them under this name. It is there before the part that borrows them.
      onLoad({ filter: /.*/, namespace: BORROWED }, ({ pluginData }) => ({
        contents: `module.exports = require(${JSON.stringify(pluginData)}).lent;`,
      }));
      onResolve({ filter: /^[a-z-]+$/, namespace: LATE }, ({ path }) => ({ path, external: true }));
      onResolve({ filter: /^[a-z-]+$/, namespace: BORROWED }, ({ path }) => ({ path, external: true }));

      onResolve({ filter: /^valibot$/ }, ({ namespace }) =>
        namespace === SINGLE
          ? undefined
          : namespace === FACADE
            ? { path: "valibot", external: true, sideEffects: false }
            : { path: "valibot", namespace: FACADE, sideEffects: false },
      );
      onResolve({ filter: /^valibot\//, namespace: FACADE }, ({ path }) =>
        kind === "module"
          ? { path, external: true, sideEffects: false }
          : { path, namespace: SINGLE, sideEffects: false },
      );
      onLoad({ filter: /.*/, namespace: FACADE }, async () => ({
        contents: await facadeText(resolve(source, "actions/valibot.ts"), root),
        resolveDir: root,
      }));
      onLoad({ filter: /.*/, namespace: SINGLE }, ({ path }) => ({
        contents: `export { ${path.slice("valibot/".length)} } from "valibot";`,
        resolveDir: root,
      }));
    },
  };
}

/** The text of a module with all exports of valibot, each from where it is to come. */
async function facadeText(listOfLent: string, root: string): Promise<string> {
  const lent = await exportsOf(listOfLent, root);
  const others = (await exportsOf("valibot", root)).filter((name) => !lent.includes(name));
  return [
    `export { ${lent.join(", ")} } from "valibot";`,
    ...others.map((name) => `export { ${name} } from "valibot/${name}";`),
  ].join("\n");
}

const known = new Map<string, Promise<readonly string[]>>();

/** List what a module exports. */
function exportsOf(entry: string, root: string): Promise<readonly string[]> {
  const names = known.get(entry) ?? readExports(entry, root);
  known.set(entry, names);
  return names;
}

async function readExports(entry: string, root: string): Promise<readonly string[]> {
  const { metafile } = await build({
    entryPoints: [entry],
    absWorkingDir: root,
    bundle: true,
    write: false,
    metafile: true,
    platform: "node",
    format: "esm",
    logLevel: "silent",
  });
  return [...Object.values(metafile.outputs)[0]!.exports].sort();
}

/** Return whether a part's source is there. */
export function hasSource(entry: string, sourceDirectory: string): boolean {
  return existsSync(fileURLToPath(new URL(entry, sourceDirectory)));
}
