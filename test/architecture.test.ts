import { readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { describe, expect, test } from "vitest";
import { EXCEPTIONS, FOLDERS, folderOf, PACKAGES } from "../src/bundle/import-rules.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const source = join(root, "src");

interface Import {
  /** Relative to src. */
  readonly from: string;
  /** A path relative to src, or a module's name. */
  readonly to: string;
  /** True when `to` is one of our own files. */
  readonly own: boolean;
}

const IMPORT = /^(?:import|export)\b[^;"'`]*?\bfrom\s+"([^"]+)"|^import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm;

function readImports(): readonly Import[] {
  const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.tsx?$/.test(name),
  );
  return files.flatMap((from) =>
    [...readFileSync(join(source, from), "utf8").matchAll(IMPORT)].map((match): Import => {
      const named = (match[1] ?? match[2] ?? match[3])!;
      if (!named.startsWith(".")) return { from, to: named, own: false };
      return { from, to: relative(source, join(source, dirname(from), named)), own: true };
    }),
  );
}

const imports = readImports();

test("the sources are read: every folder has its rule, and imports are found", () => {
  const folders = new Set(imports.map(({ from }) => folderOf(from)));
  expect([...folders].filter((folder) => !(folder in FOLDERS))).toEqual([]);
  expect(imports.filter(({ own }) => own).length).toBeGreaterThan(200);
});

const covers = (path: string, file: string): boolean =>
  path.endsWith("/") ? file.startsWith(path) : file === path;

test("each folder imports only from those it may, types included", () => {
  const wrong = imports
    .filter(({ own, from, to }) => own && folderOf(from) !== folderOf(to))
    .filter(({ from, to }) => !FOLDERS[folderOf(from)]?.imports.includes(folderOf(to)))
    .filter((each) => !EXCEPTIONS.some(({ from, to }) => covers(from, each.from) && covers(to, each.to)));
  expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
});

test("no exception and no permission outlives its use", () => {
  const crossing = imports.filter(({ own }) => own);
  for (const { from, to, why } of EXCEPTIONS) {
    const used = crossing.some((each) => covers(from, each.from) && covers(to, each.to));
    expect(used, `${from} -> ${to}: ${why}`).toBe(true);
  }
  const unused = Object.entries(FOLDERS).flatMap(([folder, rule]) =>
    rule.imports
      .filter(
        (other) => !crossing.some(({ from, to }) => folderOf(from) === folder && folderOf(to) === other),
      )
      .map((other) => `${folder} may import ${other}`),
  );
  expect(unused).toEqual([]);
});

test("no file imports one that imports it, however far around, types included", () => {
  expect(circles(imports.filter(({ own }) => own)).map((files) => files.join(", "))).toEqual([]);
});

describe("dependencies", () => {
  const packageOf = (name: string): string =>
    name
      .split("/")
      .slice(0, name.startsWith("@") ? 2 : 1)
      .join("/");
  const foreign = imports.filter(({ own, to }) => !own && !isBuiltin(to));

  test.each(Object.entries(PACKAGES))("%s is imported only in its homes, and in each", (name, { homes }) => {
    const users = foreign.filter(({ to }) => packageOf(to) === name).map(({ from }) => from);
    const isIn = (home: string, file: string): boolean =>
      file.startsWith(home.endsWith("/") ? home : `${home}/`);
    expect(homes.filter((home) => !users.some((file) => isIn(home, file)))).toEqual([]);
    expect(users.filter((file) => !homes.some((home) => isIn(home, file)))).toEqual([]);
  });

  test("the table has every package of package.json, and no other", () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      readonly dependencies: Readonly<Record<string, string>>;
    };
    expect(Object.keys(PACKAGES).sort()).toEqual(Object.keys(dependencies).sort());
  });

  test("every package imported is a dependency", () => {
    const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      readonly dependencies: Readonly<Record<string, string>>;
    };
    const missing = foreign.filter(
      ({ to, from }) => !(packageOf(to) in manifest.dependencies) && !from.startsWith("demo/"),
    );
    // Written by the bundler into playbooks, not imported by it.
    expect(missing.filter(({ to }) => to !== "volley").map(({ from, to }) => `${from}: ${to}`)).toEqual([]);
  });

  test("folders that keep to the language import nothing of Node", () => {
    const wrong = imports.filter(
      ({ own, from, to }) => !own && isBuiltin(to) && !FOLDERS[folderOf(from)]!.node,
    );
    expect(wrong.map(({ from, to }) => `${from}: ${to}`)).toEqual([]);
  });

  test("Node's modules are imported by their node: names", () => {
    const bare = imports.filter(({ own, to }) => !own && isBuiltin(to) && !to.startsWith("node:"));
    expect(bare.map(({ from, to }) => `${from}: ${to}`)).toEqual([]);
  });
});

describe("what runs on a host", () => {
  const HOST_PACKAGES = ["valibot", "yaml", "nunjucks", "a-sync-waterfall", "asap"];

  test.each(["agent/main.ts", "template/index.ts", "agent/boot/bootstrap.ts"])(
    "%s reaches nothing of the controller's",
    async (entry) => {
      const { metafile } = await build({
        entryPoints: [join(source, entry)],
        absWorkingDir: root,
        bundle: true,
        write: false,
        metafile: true,
        platform: "node",
        format: "cjs",
        logLevel: "silent",
      });
      const inputs = Object.keys(metafile.inputs);
      const own = inputs.filter((input) => !input.includes("node_modules/"));
      expect(own).toContain(`src/${entry}`);
      expect(own.filter((input) => !FOLDERS[folderOf(relative("src", input))]!.rides)).toEqual([]);
      const packages = new Set(
        inputs
          .filter((input) => !own.includes(input))
          .map((input) => input.split("node_modules/").at(-1)!.split("/")[0]!),
      );
      expect([...packages].filter((name) => !HOST_PACKAGES.includes(name))).toEqual([]);
      const external = Object.values(metafile.inputs).flatMap((input) =>
        input.imports.filter((each) => each.external),
      );
      expect(external.map(({ path }) => path).filter((path) => !isBuiltin(path))).toEqual([]);
    },
  );
});

/** The groups of files that import each other, each sorted: the strongly connected components (Tarjan). */
function circles(edges: readonly Import[]): readonly (readonly string[])[] {
  const next = new Map<string, string[]>();
  for (const { from, to } of edges) next.set(from, [...(next.get(from) ?? []), to]);
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: (readonly string[])[] = [];
  const visit = (file: string): void => {
    order.set(file, order.size);
    low.set(file, order.get(file)!);
    stack.push(file);
    for (const other of next.get(file) ?? []) {
      if (!order.has(other)) visit(other);
      if (stack.includes(other)) low.set(file, Math.min(low.get(file)!, low.get(other)!));
    }
    if (low.get(file) !== order.get(file)) return;
    const group = stack.splice(stack.indexOf(file));
    if (group.length > 1 || next.get(file)?.includes(file)) found.push(group.sort());
  };
  for (const file of next.keys()) if (!order.has(file)) visit(file);
  return found;
}
