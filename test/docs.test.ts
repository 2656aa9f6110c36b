import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { FOLDERS, folderOf, PACKAGES } from "../src/bundle/import-rules.ts";
import { planHosts } from "../src/controller/prepare/plan.ts";
import { preflight } from "../src/controller/prepare/preflight.ts";
import { preparePlaybook, readInventory } from "../src/controller/prepare/read.ts";
import { faultOfCode, faultOfLine } from "./docs/commands.ts";
import { EXAMPLE_PAGES, type Example, examplesOf, moduleOf } from "./docs/examples.ts";
import { type Document, ROOT, readDocument } from "./docs/markdown.ts";

const NAMES = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "REFERENCE.md",
  "SECURITY.md",
  "docs/queue.md",
  "test/fleet/README.md",
  ...EXAMPLE_PAGES,
];
const documents = NAMES.map(readDocument);
const [readme, architecture, contributing] = documents as [Document, Document, Document];

/** The table whose rows begin with something that looks like this. */
function tableOf({ tables }: Document, first: RegExp): readonly (readonly string[])[] {
  const found = tables.find(([row]) => first.test(row?.[0] ?? ""));
  expect(found, `a table with rows like ${first}`).toBeDefined();
  return found ?? [];
}

const unquoted = (cell = ""): string => cell.replaceAll("`", "");

describe.each(documents)("$name", ({ name, blocks, codes, links }) => {
  it("names commands, flags and scripts that there are", async () => {
    const lines = blocks
      .filter(({ language }) => language === "sh" || language === "")
      .flatMap(({ code }) => code.split("\n"));
    const faults = [];
    for (const line of lines) faults.push(await faultOfLine(line));
    // The reference explains parameters, whose examples are other programs' flags.
    if (name !== "REFERENCE.md") for (const code of codes) faults.push(await faultOfCode(code));
    expect(faults.filter((fault) => fault !== undefined)).toEqual([]);
  });

  it("links to what there is", () => {
    const broken = links.filter((link) => {
      if (/^https?:/.test(link)) return false;
      const [path = "", anchor] = link.split("#");
      const file = join(dirname(name), path === "" ? name.slice(name.lastIndexOf("/") + 1) : path);
      if (!existsSync(`${ROOT}${file}`)) return true;
      return anchor !== undefined && !readDocument(file).anchors.includes(anchor);
    });
    expect(broken).toEqual([]);
  });
});

describe("ARCHITECTURE.md", () => {
  it("lists the folders of src", () => {
    const listed = tableOf(architecture, /^`src\//).map(([folder]) =>
      unquoted(folder).slice("src/".length, -1),
    );
    const entries = readdirSync(`${ROOT}src`, { withFileTypes: true });
    expect([...listed].sort()).toEqual(
      entries
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name)
        .sort(),
    );
  });

  it("says of each folder the names of files that are in it", () => {
    const wrong = tableOf(architecture, /^`src\//).flatMap(([folder = "", ...cells]) =>
      [...cells.join(" ").matchAll(/`([\w-]+\.tsx?)`/g)]
        .map(([, name]) => `${unquoted(folder)}${name}`)
        .filter((file) => !existsSync(`${ROOT}${file}`)),
    );
    expect(wrong).toEqual([]);
  });

  it("names for each word a file that has the type of that name, where there is one", () => {
    const files = readdirSync(`${ROOT}src`, { recursive: true, encoding: "utf8" });
    const exporters = (name: string): readonly string[] =>
      files.filter(
        (file) =>
          /\.tsx?$/.test(file) &&
          new RegExp(`^export (?:interface|type|class) ${name}\\b`, "m").test(
            readFileSync(`${ROOT}src/${file}`, "utf8"),
          ),
      );
    const wrong = tableOf(architecture, /^Inventory, /).flatMap(([words = "", _meaning, where]) => {
      const named = unquoted(where).split(", ");
      return words
        .split(", ")
        .map((word) => ({ word, files: exporters(word) }))
        .filter(({ word, files: found }) => word !== "Method" && found.length > 0)
        .filter(({ files: found }) => !found.some((file) => named.includes(file)))
        .map(({ word, files: found }) => `${word}: ${found.join(", ")}`);
    });
    // Method is a word of comparisons, too, where it is a wider one.
    expect(wrong).toEqual([]);
  });

  it("lists the files that others import", () => {
    const { exports } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as {
      exports: Record<string, unknown>;
    };
    const names = Object.keys(exports).filter((path) => path !== "./package.json");
    for (const path of names)
      expect(architecture.codes).toContain(`src/${path === "." ? "index" : path.slice(2)}.ts`);
  });

  it("shows the import rules", () => {
    const listed = tableOf(architecture, /^`core`/).map((row) => row.map(unquoted));
    const list = (names: readonly string[]): string => (names.length === 0 ? "–" : names.join(", "));
    const rules = Object.entries(FOLDERS).map(([folder, { imports, node, rides }]) => {
      const packages = Object.entries(PACKAGES).filter(([, { homes }]) =>
        homes.some((home) => folderOf(home) === folder),
      );
      return [
        folder,
        list(imports),
        list(packages.map(([name]) => name)),
        node ? "yes" : "no",
        rides ? "yes" : "no",
      ];
    });
    expect(listed).toEqual(rules);
  });

  it("lists the events, each with who says it", () => {
    const source = readFileSync(`${ROOT}src/core/events.ts`, "utf8");
    const [target = "", controller = ""] = source
      .slice(source.indexOf("type TargetEvent"))
      .split("type ControllerEvent");
    const typesIn = (text: string, who: string): readonly (readonly string[])[] =>
      [...text.matchAll(/readonly type: "([\w:]+)"/g)].map(([, type = ""]) => [type, who]);
    const declared = [...typesIn(target, "target"), ...typesIn(controller, "controller")];
    const listed = tableOf(architecture, /^`hello`/).map(([type, who]) => [unquoted(type), who ?? ""]);
    expect([...listed].sort()).toEqual([...declared].sort());
  });

  it("names files of src that there are", () => {
    const named = architecture.codes.filter((code) => /^(?:src\/)?[a-z-]+\/[\w/-]+\.tsx?$/.test(code));
    expect(named.length).toBeGreaterThan(20);
    const missing = named.filter(
      (path) => ![path, `src/${path}`].some((file) => existsSync(`${ROOT}${file}`)),
    );
    expect(missing).toEqual([]);
  });
});

describe("the code in README.md, CONTRIBUTING.md and the pages of docs", () => {
  let directory: string;
  let files: readonly string[];
  let examples: readonly Example[];

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "volley-docs-"));
    vi.stubEnv("XDG_CACHE_HOME", join(directory, ".cache"));
    writeFileSync(join(directory, "package.json"), '{ "type": "module" }\n');
    symlinkSync(`${ROOT}node_modules`, join(directory, "node_modules"));
    const blocks = [readme, contributing].flatMap((document) => document.blocks);
    files = blocks.flatMap(({ file, code }) => {
      if (file === undefined) return [];
      const path = join(directory, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, code);
      return [file];
    });
    examples = EXAMPLE_PAGES.flatMap(examplesOf);
    for (const example of examples) writeFileSync(join(directory, example.file), moduleOf(example));
    // The files that the action and its test import must lie beside them.
    for (const below of [
      "src/actions/accounts",
      "src/actions",
      "src",
      "test/actions/accounts",
      "test/actions",
    ])
      for (const name of readdirSync(`${ROOT}${below}`))
        if (!existsSync(join(directory, below, name)))
          symlinkSync(`${ROOT}${below}/${name}`, join(directory, below, name));
  });

  afterAll(() => {
    vi.unstubAllEnvs();
    rmSync(directory, { recursive: true, force: true });
  });

  it("has the files that the walk-throughs are made of", () => {
    expect(files).toEqual(
      expect.arrayContaining([
        "site.ts",
        "roles/web/role.ts",
        "deploy.mjs",
        "src/actions/accounts/nologin.ts",
      ]),
    );
  });

  it("fits its inventory, as far as that can be told without a host", async () => {
    const { playbook, assets } = await preparePlaybook("site.ts", directory);
    const { inventory, select } = await readInventory("inventory", {
      cwd: directory,
      playbookDirectory: directory,
    });
    const { plays, groups, hosts } = planHosts(playbook, inventory, (pattern) => select(pattern));
    await preflight({ plays, assets, groups, check: false });
    expect(hosts.map(({ name }) => name)).toEqual(["web1.example.org", "web2.example.org"]);
  });

  it("has the right types, by the tsconfig.json it comes with", () => {
    const sources = [...files.filter((file) => /\.m?[jt]s$/.test(file)), ...examples.map(({ file }) => file)];
    const config = {
      extends: "./tsconfig.json",
      compilerOptions: {
        allowJs: true,
        checkJs: true,
        jsx: "react-jsx",
        resolveJsonModule: true,
        paths: Object.fromEntries(
          ["volley", "volley/controller", "volley/testing"].map((name) => [
            name,
            [`${ROOT}src/${name.split("/")[1] ?? "index"}.ts`],
          ]),
        ),
      },
      files: sources,
    };
    writeFileSync(join(directory, "tsconfig.check.json"), JSON.stringify(config));
    const { stdout } = spawnSync(
      process.execPath,
      [`${ROOT}node_modules/typescript/bin/tsc`, "--pretty", "false", "-p", "tsconfig.check.json"],
      { cwd: directory, encoding: "utf8" },
    );
    // Of Volley's own source `npm run check` takes care.
    const own = ["error TS", ...sources.map((file) => `${file}(`)];
    expect(stdout.split("\n").filter((line) => own.some((start) => line.startsWith(start)))).toEqual([]);
  });
});
