import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { compileFunction } from "node:vm";
import { build, type Plugin } from "esbuild";
import { describe, expect, test } from "vitest";
import * as valibot from "../../src/actions/valibot.ts";
import { type BundleReader, openParts } from "../../src/agent/parts.ts";
import { type ActionNames, actionsScript, joinNames, namesReached } from "../../src/bundle/actions.ts";
import { buildOwnParts } from "../../src/bundle/build-parts.ts";
import { fromRunner } from "../../src/bundle/lent.ts";
import { loadOwnParts } from "../../src/bundle/own-parts.ts";
import { type ActionModules, PART_RULES } from "../../src/bundle/parts.ts";
import { compile } from "../../src/bundle/playbook.ts";
import { preparePlaybook } from "../../src/controller/prepare/read.ts";
import * as volley from "../../src/index.ts";
import * as api from "../../src/playbook-api.ts";
import { makeProject, scratchDirectory } from "../e2e/lib/project.ts";

const scratch = scratchDirectory();
const root = fileURLToPath(new URL("../../", import.meta.url));

/** The actions of `volley`, which also exports what defines playbooks. */
const ACTIONS = Object.entries(volley).flatMap(([name, value]) =>
  "description" in value ? [[name, value.description] as const] : [],
);

const EMPTY = `export default definePlaybook([{ hosts: "all", tasks: () => {} }]);`;

describe("the names that code takes from volley", () => {
  const reached = async (files: Readonly<Record<string, string>>): Promise<ActionNames> => {
    const project = makeProject(scratch(), files);
    return namesReached((await compile(project.path("site.ts"), project.directory)).code);
  };

  test.each<[string, Readonly<Record<string, string>>, readonly string[]]>([
    [
      "named, renamed, and unused",
      {
        "site.ts": `import { apt, copy as put, definePlaybook, file } from "volley"; put({ dest: "/x", content: "" }); apt({ name: "x" }); ${EMPTY}`,
      },
      ["apt", "copy"],
    ],
    [
      "by members of the module",
      {
        "site.ts": `import { definePlaybook } from "volley"; import * as v from "volley"; v.file({ path: "/x" }); v["user"]({ name: "u" }); ${EMPTY}`,
      },
      ["file", "user"],
    ],
    [
      "in several files, one of which hands them on",
      {
        "site.ts": `import { definePlaybook } from "volley"; import web from "./roles/web.ts"; import { put } from "./lib.ts"; web; put({ dest: "/x", content: "" }); ${EMPTY}`,
        "roles/web.ts": `import { cron, defineRole, TaskFailed } from "volley"; export default defineRole({ name: "web", tasks({ task }) { task("T", cron({ name: "x" })); TaskFailed; } });`,
        "lib.ts": `export { copy as put, get_url } from "volley";`,
      },
      ["copy", "cron"],
    ],
    [
      "where words of the language and of the code are the same",
      {
        "site.ts": `import { definePlaybook, debug } from "volley"; debug({ msg: "copy a file".replace("copy", "stat") }); ${EMPTY}`,
      },
      ["debug"],
    ],
  ])("%s", async (_how, files, names) => {
    const found = await reached(files);
    expect([...found].filter((name) => ACTIONS.some(([action]) => action === name))).toEqual(names);
  });

  test.each([
    ["the module is handed on", `import * as v from "volley"; globalThis.console.log(v);`],
    ["a name is computed", `import * as v from "volley"; v[process.env.ACTION ?? "copy"]({});`],
    ["members are taken out of it", `import * as v from "volley"; const { copy } = v; copy({});`],
    ["the module is required", `const { copy } = require("volley"); copy({});`],
    ["the module is imported late", `import("volley").then(({ copy }) => copy({}));`],
    ["the module is exported", `export * from "volley";`],
    ["the name of a module is computed", `require("vol" + process.env.ACTION);`],
  ])("are all of them when %s", async (_how, code) => {
    expect(await reached({ "site.ts": `import { definePlaybook } from "volley"; ${code} ${EMPTY}` })).toBe(
      "all",
    );
  });
});

async function scriptOf(names: ActionNames): Promise<string> {
  const { actions } = await loadOwnParts();
  return actionsScript(JSON.parse(actions.toString()) as ActionModules, names);
}

/** Open the parts of a bundle that holds this script and nothing else. */
function openScript(script: string): ReturnType<typeof openParts> {
  const require = createRequire(import.meta.url);
  const bundle: BundleReader = {
    file: "test.run",
    names: ["actions.js.br"],
    size: () => undefined,
    mode: () => 0,
    read: () => undefined,
    load: (_name, imports = {}) => {
      const module = { exports: {} };
      compileFunction(script, ["module", "require"])(module, (id: string) =>
        Object.hasOwn(imports, id) ? imports[id] : require(id),
      );
      return module.exports;
    },
    keepCompiled: () => {},
  };
  return openParts(bundle);
}

describe("the actions of a bundle", () => {
  test("are all there when all are asked for, with the parameters of the sources", async () => {
    const { volley: built } = openScript(await scriptOf("all"));
    expect(Object.keys(built)).toEqual(expect.arrayContaining(Object.keys(api)));
    expect(ACTIONS.length).toBeGreaterThan(25);
    for (const [name, { params }] of ACTIONS) {
      const action = built[name] as typeof volley.copy;
      expect(action.description.name).toBe(name);
      expect(
        Object.keys((action.description.params as typeof params & { entries?: object }).entries ?? {}),
      ).toEqual(Object.keys((params as typeof params & { entries?: object }).entries ?? {}));
    }
  });

  test("are those asked for, with the files they share once; their code runs at first use", async () => {
    const copy = await scriptOf(["copy", "not_an_action"]);
    const both = await scriptOf(["copy", "lineinfile"]);
    expect(
      Object.keys(openScript(copy).volley).filter((name) => ACTIONS.some(([one]) => one === name)),
    ).toEqual(["copy"]);
    expect(copy).not.toContain('"actions/edit/lineinfile":');
    expect(both.split('"actions/shared/write-file":')).toHaveLength(2);
    expect(both.length).toBeLessThan(copy.length + (await scriptOf(["lineinfile"])).length);
    const broken = copy.replace(
      /"actions\/files\/copy":/,
      '"actions/files/copy":()=>{throw new Error("ran")},x:',
    );
    const { volley: built } = openScript(broken);
    expect(() => built.copy).toThrow("ran");
  });

  test("share classes with the runner, and say what is missing", async () => {
    const script = await scriptOf(["copy"]);
    const { volley: built } = openScript(script);
    const wrong = (): unknown => (built.copy as (given: object) => unknown)({ nothing: 1 });
    expect(wrong).toThrow(volley.VolleyError);
    const { volley: damaged } = openScript(
      script.replace('"actions/files/file-plan":', '"actions/files/gone":'),
    );
    expect(() => damaged.copy).toThrow('the bundle does not hold the module "actions/files/file-plan"');
    const parts = openScript(script);
    expect(() => parts.yaml).toThrow('the bundle does not hold the part "yaml"');
  });

  test("hold no copy of a file that the runner has, nor do other parts", async () => {
    const inRunner = await filesIn("agent/main.ts");
    const source = pathToFileURL(join(root, "src/")).href;
    const { actions } = await loadOwnParts();
    const { modules } = JSON.parse(actions.toString()) as ActionModules;
    const others = PART_RULES.filter(
      ([name, { entry }]) => name !== "runner" && existsSync(join(root, "src", entry)),
    );
    const partsOf = async (chosen: typeof others): Promise<readonly string[]> =>
      (
        await Promise.all(
          chosen.map(async ([name, { entry }]) => [
            ...(await filesIn(entry, [await fromRunner(source, "part", name)])),
          ]),
        )
      ).flat();
    // Bundles of runs would pay for what the runner lends, so a carried bundle may hold copies, but for classes.
    const carried = others.filter(([, { rides }]) => rides === "carried");
    const copied = (await partsOf(carried)).filter((file) => inRunner.has(file));
    expect(copied.length).toBeGreaterThan(0);
    expect(
      copied.filter((file) => /^export (?:abstract )?class/m.test(readFileSync(join(root, file), "utf8"))),
    ).toEqual([]);
    const held = [
      ...Object.keys(modules).map((id) => `src/${id}.ts`),
      ...(await partsOf(others.filter((other) => !carried.includes(other)))),
    ];
    expect(held.length).toBeGreaterThan(60);
    const copies = held.filter((file) => inRunner.has(file) && file.startsWith("src/"));
    expect([...new Set(copies)], "add these files to agent/shared-core.ts").toEqual([]);
  });
});

/** The files whose code is in the build of an entry below src. */
async function filesIn(entry: string, plugins: readonly Plugin[] = []): Promise<ReadonlySet<string>> {
  const { metafile } = await build({
    entryPoints: [join(root, "src", entry)],
    absWorkingDir: root,
    bundle: true,
    write: false,
    metafile: true,
    platform: "node",
    format: "cjs",
    plugins: [...plugins],
    logLevel: "silent",
  });
  const [{ inputs }] = Object.values(metafile.outputs) as [(typeof metafile.outputs)[string]];
  return new Set(Object.keys(inputs).filter((file) => inputs[file]!.bytesInOutput > 0));
}

const ONE_COPY = `import { copy, definePlaybook } from "volley";
export default definePlaybook([{ hosts: "all", tasks: ({ task }) => void task("T", copy({ dest: "~/a", content: "a" })) }]);
`;

test("an action more in a domain of its own changes no byte of other playbooks", async () => {
  const copyOfSource = mkdtempSync(join(scratch(), "source-"));
  cpSync(join(root, "src"), join(copyOfSource, "src"), { recursive: true });
  // esbuild takes settings from these.
  for (const name of ["package.json", "tsconfig.json"]) cpSync(join(root, name), join(copyOfSource, name));
  symlinkSync(join(root, "node_modules"), join(copyOfSource, "node_modules"));
  const domain = join(copyOfSource, "src/actions/weather");
  mkdirSync(domain);
  writeFileSync(join(domain, "index.ts"), 'export { rain } from "./rain.ts";\n');
  const noop = readFileSync(join(root, "src/actions/flow/noop.ts"), "utf8");
  const rain = noop
    .replaceAll("noop", "rain")
    .replace("v.strictObject({", "v.strictObject({ drops: v.optional(v.pipe(v.string(), v.ipv4())), ");
  expect(rain).not.toBe(noop.replaceAll("noop", "rain"));
  writeFileSync(join(domain, "rain.ts"), rain);
  const before = await loadOwnParts();
  const after = await buildOwnParts(pathToFileURL(`${copyOfSource}/src/`).href);
  expect(after.actions.length).toBeGreaterThan(before.actions.length);
  const project = makeProject(scratch(), { "site.ts": ONE_COPY });
  const prepared = await preparePlaybook("site.ts", project.directory);
  const bundles = await Promise.all(
    [before, after].map((ownParts) => prepared.bundle({ vars: [], ownParts })),
  );
  expect(bundles[1]!.reused).toBe(false);
  expect(bundles[1]!.id).toBe(bundles[0]!.id);
  // The new action is there for those who ask for it.
  const asking = await prepared.bundle({ vars: [], ownParts: after, actions: ["rain"] });
  expect(asking.bytes.length).toBeGreaterThan(bundles[0]!.bytes.length);
});

test("a bundle holds actions that its caller names, and carries them out", async () => {
  const project = makeProject(scratch(), {
    "site.ts": `import { definePlaybook } from "volley"; ${EMPTY}`,
    "copy/site.ts": ONE_COPY,
  });
  const size = async (file: string, actions: ActionNames): Promise<number> =>
    (await (await preparePlaybook(file, project.directory)).bundle({ vars: [], actions })).bytes.length;
  const none = await size("site.ts", []);
  const some = await size("site.ts", ["copy", "no_such_action"]);
  const all = await size("site.ts", "all");
  expect(some).toBeGreaterThan(none + 5_000);
  expect(all).toBeGreaterThan(some + 20_000);
  const { bytes } = await (await preparePlaybook("copy/site.ts", project.directory)).bundle({
    carried: true,
    vars: [],
  });
  writeFileSync(project.path("site.run"), bytes);
  mkdirSync(project.path("home"));
  const { status, stderr } = spawnSync("/bin/sh", [project.path("site.run"), "--local", "here"], {
    env: { HOME: project.path("home"), PATH: process.env.PATH },
    encoding: "utf8",
  });
  expect(status, stderr).toBe(0);
  expect(readFileSync(project.path("home/a"), "utf8")).toBe("a");
});

test("a playbook in YAML has the interpreter and the actions of its modules; one in TypeScript has not", async () => {
  const project = makeProject(scratch(), {
    "site.yml": `- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.file: { path: ~/here, state: directory }
    - include_tasks: "{{ 'more' }}.yml"
`,
    "more.yml": `- lineinfile: { path: ~/here/a, line: "{{ 6 * 7 }}", create: true }\n`,
    "site.ts": ONE_COPY,
  });
  const bundleOf = async (file: string): Promise<Buffer> =>
    (await (await preparePlaybook(file, project.directory)).bundle({ carried: true, vars: [] })).bytes;
  const bytes = await bundleOf("site.yml");
  expect(bytes.includes("ansible.js.br")).toBe(true);
  expect((await bundleOf("site.ts")).includes("ansible.js.br")).toBe(false);
  writeFileSync(project.path("site.run"), bytes);
  mkdirSync(project.path("home"));
  const { status, stdout, stderr } = spawnSync("/bin/sh", [project.path("site.run"), "--local", "here"], {
    env: { HOME: project.path("home"), PATH: process.env.PATH },
    encoding: "utf8",
  });
  expect(status, stdout + stderr).toBe(0);
  expect(readFileSync(project.path("home/here/a"), "utf8")).toBe("42\n");
});

test("of valibot the runner lends only functions that actions use", () => {
  const directory = join(root, "src/actions");
  const sources = readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && name !== "valibot.ts")
    .map((name) => readFileSync(join(directory, name), "utf8"));
  const isUsed = (name: string): boolean => {
    const use = new RegExp(`\\bv\\.${name}\\b|import \\{[^}]*\\b${name}\\b[^}]*\\} from "valibot"`);
    return sources.some((text) => use.test(text));
  };
  expect(Object.keys(valibot).filter((name) => !isUsed(name))).toEqual([]);
});

test("choices of actions are joined", () => {
  expect(joinNames(["b"], ["a", "b"])).toEqual(["a", "b"]);
  expect(joinNames(["b"], "all")).toBe("all");
});
