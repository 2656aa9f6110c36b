import { readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const source = join(root, "src");

interface Import {
  /** Relative to src. */
  readonly from: string;
  /** A path relative to src, or a module's name. */
  readonly to: string;
  /** Whether `to` is one of our own files. */
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

/** The folder a file is in, or the file itself when it lies directly in src. */
const folderOf = (path: string): string => path.split("/")[0]!;

/** Which folders each folder may import from, besides itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  system: ["core"],
  actions: ["core", "system"],
  vars: ["core"],
  template: ["core", "vars"],
  ansible: ["core", "template"],
  target: ["core", "system", "actions", "vars", "template", "ansible"],
  inventory: ["core", "system", "vars", "secrets"],
  transport: ["core", "system"],
  reporter: ["core"],
  bundle: ["core", "system"],
  embedded: ["core", "system"],
  secrets: ["core", "vars"],
  // Of the inventory, only how ranges are written; of transports, only their types.
  fanout: ["core", "system", "inventory", "transport"],
  direct: ["core", "system", "target", "transport"],
  compare: ["core", "secrets", "inventory", "transport", "controller", "reporter"],
  controller: [
    "core",
    "system",
    "vars",
    "template",
    "target",
    "direct",
    "bundle",
    "inventory",
    "secrets",
    "transport",
  ],
  cli: [
    "core",
    "system",
    "controller",
    "fanout",
    "compare",
    "reporter",
    "inventory",
    "secrets",
    "transport",
    "bundle",
  ],
  demo: [],
  "index.ts": ["core", "actions"],
  "controller.ts": ["core", "controller", "secrets"],
  "testing.ts": ["core", "controller", "embedded"],
};

/** Imports across folders that single files need, and what for. */
const EXCEPTIONS: readonly { readonly from: RegExp; readonly to: RegExp; readonly why: string }[] = [
  { from: /^target\/entry\.ts$/, to: /^index\.ts$/, why: "the runner gives playbooks what they import" },
  {
    from: /^controller\/playbook\.ts$/,
    to: /^index\.ts$/,
    why: "the controller evaluates playbooks to know their plays",
  },
  {
    from: /^cli\/launch\.ts$/,
    to: /^system\/own-files\.ts$/,
    why: "the command line's compiled code is believed when it is read",
  },
  { from: /^cli\/demo\.ts$/, to: /^embedded\//, why: "the demo brings its own fleet" },
  {
    from: /^cli\/reference\//,
    to: /^(index\.ts|actions\/|template\/)/,
    why: "the reference is made from the definitions",
  },
];

test("the sources are read: every folder is known, and imports are found", () => {
  const folders = new Set(imports.map(({ from }) => folderOf(from)));
  expect([...folders].filter((folder) => !(folder in MAY_IMPORT))).toEqual([]);
  expect(imports.filter(({ own }) => own).length).toBeGreaterThan(200);
});

test("each folder imports only from those it may", () => {
  const wrong = imports
    .filter(({ own, from, to }) => own && folderOf(from) !== folderOf(to))
    .filter(({ from, to }) => !MAY_IMPORT[folderOf(from)]?.includes(folderOf(to)))
    .filter((each) => !EXCEPTIONS.some(({ from, to }) => from.test(each.from) && to.test(each.to)));
  expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
});

test("no exception outlives its reason", () => {
  for (const exception of EXCEPTIONS) {
    const used = imports.some(({ from, to }) => exception.from.test(from) && exception.to.test(to));
    expect(used, `${exception.from} -> ${exception.to}: ${exception.why}`).toBe(true);
  }
});

describe("dependencies", () => {
  /** Where each package may be imported: a folder, or several with the reason for each. */
  const HOMES: Readonly<Record<string, readonly string[]>> = {
    // The embedded fleet is the other end of the same protocol.
    ssh2: ["transport/ssh/", "embedded/"],
    esbuild: ["bundle/"],
    archiver: ["bundle/"],
    nunjucks: ["template/"],
    ink: ["reporter/ink/"],
    react: ["reporter/ink/"],
    pino: ["controller/"],
    "p-limit": ["controller/"],
    "@xterm/headless": ["fanout/shell/"],
    commander: ["cli/"],
    diff: ["reporter/"],
    "string-width": ["reporter/"],
  };
  const packageOf = (name: string): string =>
    name
      .split("/")
      .slice(0, name.startsWith("@") ? 2 : 1)
      .join("/");
  const foreign = imports.filter(({ own, to }) => !own && !isBuiltin(to));

  test.each(Object.entries(HOMES))("%s is imported only in %j", (name, homes) => {
    const users = foreign.filter(({ to }) => packageOf(to) === name).map(({ from }) => from);
    expect(users.length).toBeGreaterThan(0);
    expect(users.filter((from) => !homes.some((home) => from.startsWith(home)))).toEqual([]);
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

  test("core imports nothing but itself", () => {
    const others = imports.filter(({ from, to }) => folderOf(from) === "core" && folderOf(to) !== "core");
    expect(others.map(({ from, to }) => `${from}: ${to}`)).toEqual([]);
  });

  test("Node's modules are imported by their node: names", () => {
    const bare = imports.filter(({ own, to }) => !own && isBuiltin(to) && !to.startsWith("node:"));
    expect(bare.map(({ from, to }) => `${from}: ${to}`)).toEqual([]);
  });
});

describe("what runs on the target", () => {
  const CONTROLLER_SIDE = [
    "inventory",
    "transport",
    "controller",
    "reporter",
    "cli",
    "bundle",
    "embedded",
    "demo",
  ];
  const TARGET_PACKAGES = ["valibot", "yaml", "nunjucks", "a-sync-waterfall", "asap"];

  test.each(["target/entry.ts", "template/index.ts", "target/boot/bootstrap.ts"])(
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
      expect(own.filter((input) => CONTROLLER_SIDE.includes(folderOf(relative("src", input))))).toEqual([]);
      const packages = new Set(
        inputs
          .filter((input) => !own.includes(input))
          .map((input) => input.split("node_modules/").at(-1)!.split("/")[0]!),
      );
      expect([...packages].filter((name) => !TARGET_PACKAGES.includes(name))).toEqual([]);
      const external = Object.values(metafile.inputs).flatMap((input) =>
        input.imports.filter((each) => each.external),
      );
      expect(external.map(({ path }) => path).filter((path) => !isBuiltin(path))).toEqual([]);
    },
  );
});
