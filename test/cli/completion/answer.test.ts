import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Argument, Command, Option } from "commander";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { answer } from "../../../src/cli/completion/completion.ts";
import { quoteRest, splitTyped } from "../../../src/cli/completion/words.ts";
import { addDoCommand } from "../../../src/cli/do/do.ts";
import { addExecCommand } from "../../../src/cli/exec/exec.ts";
import { addInventoryCommand } from "../../../src/cli/inventory.ts";
import { addDiffCommand } from "../../../src/cli/records/diff.ts";
import { addReportCommand } from "../../../src/cli/records/runs.ts";
import { addDocCommand } from "../../../src/cli/reference/doc.ts";
import { addRunCommand } from "../../../src/cli/run/run.ts";
import { addGetCommand, addPutCommand } from "../../../src/cli/transfer/transfer.ts";
import { loadInventory } from "../../../src/inventory/load.ts";
import { cacheDirectory } from "../../../src/system/own-files.ts";
import { scratchDirectory } from "../../e2e/lib/project.ts";
import { PATIENCE_MS } from "../../lib/patience.ts";

const scratch = scratchDirectory();
const program = new Command("volley").enablePositionalOptions();
for (const add of [
  addRunCommand,
  addReportCommand,
  addDiffCommand,
  addExecCommand,
  addPutCommand,
  addGetCommand,
  addInventoryCommand,
  addDocCommand,
  addDoCommand,
])
  add(program);
program
  .command("shapes")
  .addArgument(new Argument("<shape>").choices(["round", "square"]))
  .addOption(new Option("-s, --size <size>").choices(["large", "small"]))
  .option("-q, --quick");

const HOSTS = Array.from({ length: 60 }, (_, index) => `node${String(index + 1).padStart(2, "0")}`);

beforeAll(() => {
  const directory = join(scratch(), "project");
  for (const name of ["many/group_vars", "group_vars"]) mkdirSync(join(directory, name), { recursive: true });
  const files: Readonly<Record<string, string>> = {
    "inventory.yaml":
      "web:\n  hosts:\n    web[1:2]:\n  vars: { key: !secret 'command:touch asked' }\nprod:\n  hosts: { web1: , db1: }\n",
    "many/hosts.ini": `[nodes]\n${HOSTS.join("\n")}\n`,
    "many/group_vars/all.yml": "$ANSIBLE_VAULT;1.1;AES256\n00\n",
    "vaulted.yaml": "$ANSIBLE_VAULT;1.1;AES256\n00\n",
    "broken.yaml": "web: [\n",
    "program.sh": `#!/bin/sh
touch asked
echo '{"clouds":{"hosts":["c1","c2"],"vars":{"word":"unkept"}},"sky":{"children":["clouds"]}, "_meta":{"hostvars":{"c1":{"word":"unkept"}}}}'
`,
    "group_vars/clouds.yml": "known: true\n",
    "vars.ts": `import { debug, definePlaybook, defineRole } from "volley";
import * as v from "valibot";
const role = (name, vars) => defineRole({ name, vars: v.object(vars), tasks: ({ task }) => {
  task("Say", debug({ msg: "hi" }), { tags: [name] });
} });
export default definePlaybook([
  { hosts: "clouds", roles: [role("known", { known: v.boolean() })()] },
  { hosts: "sky", tags: "evening", roles: [role("unknown", { word: v.string() })()] },
]);
`,
    "named.ts": 'export default { groups: { typed: { hosts: ["ts1"] } } };\n',
    "site.ts": `import { debug, definePlaybook } from "volley";
process.stdout.write("noise");
process.stderr.write("noise");
export default definePlaybook([
  { hosts: "all", tags: "outer", tasks: ({ task }) => { task("Say", debug({ msg: "hi" }), { tags: ["inner", "other"] }); } },
]);
`,
    "site.yml": "- hosts: all\n  tasks:\n    - { debug: { msg: hi }, tags: [deploy] }\n",
    "package.json": "{}",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  chmodSync(join(directory, "program.sh"), 0o755);
  const runs = join(process.env.XDG_STATE_HOME!, "volley/runs");
  mkdirSync(runs, { recursive: true });
  for (const run of ["20260101-000000-aaaaa", "20260102-000000-bbbbb-exec"])
    writeFileSync(join(runs, `${run}.json`), "{}");
  vi.spyOn(process, "cwd").mockReturnValue(directory);
  vi.stubEnv("VOLLEY_INVENTORY", join(directory, "inventory.yaml"));
});
afterAll(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** The answer to the words of a line, as zsh asks: the first line, and the candidates without descriptions. */
async function ask(...words: readonly string[]): Promise<readonly string[]> {
  const text = await answer(program, "zsh", words, { limitMs: PATIENCE_MS });
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => line.replace(/\t.*/, ""));
}

test.each([
  [[""], ["", "run", "report", "diff", "exec", "put", "get", "inventory", "doc", "do", "shapes", "help"]],
  [
    ["help", "r"],
    ["", "run", "report"],
  ],
  [
    ["shapes", ""],
    ["", "round", "square"],
  ],
  [
    ["shapes", "-s", "l"],
    ["", "large"],
  ],
  [
    ["shapes", "-qs", "l"],
    ["", "large"],
  ],
  [
    ["shapes", "-qsl"],
    ["", "-qslarge"],
  ],
  [
    ["shapes", "--size=s"],
    ["", "--size=small"],
  ],
  [
    ["shapes", "--size=large", "s"],
    ["", "square"],
  ],
  [
    ["shapes", "--"],
    ["", "--size", "--quick", "--help"],
  ],
  [
    ["shapes", "--", "r"],
    ["", "round"],
  ],
  [["nothing", "x", "y"], [""]],
  [
    ["inventory", ""],
    ["", "list", "graph", "host"],
  ],
  [
    ["inventory", "list", "we"],
    ["", "web", "web1", "web2"],
  ],
  [
    ["exec", ""],
    ["", "all", "web", "prod", "web1", "web2", "db1"],
  ],
  [
    ["exec", "web:&p"],
    ["", "web:&prod"],
  ],
  [
    ["exec", "web,!d"],
    ["", "web,!db1"],
  ],
  [["exec", "web[1"], [""]],
  [["exec", "~we"], [""]],
  [
    ["exec", "-w", "d"],
    ["", "db1"],
  ],
  [["exec", "-w", "db1", "d"], [""]],
  [
    ["exec", "-c", "l"],
    ["", "local", "lxd"],
  ],
  [
    ["put", "--connection=ns"],
    ["", "--connection=nspawn"],
  ],
  [
    ["run", "-cch"],
    ["", "-cchroot"],
  ],
  [["exec", "web", "--fo"], [""]],
  [
    ["exec", "--fo"],
    ["", "--forward-agent", "--forks", "--fold"],
  ],
  [["run", "-i", ""], ["files 0"]],
  [["run", "--inventory=x"], ["files 12"]],
  [["put", "web", ""], ["files 0"]],
  [["get", "web", ""], [""]],
  [["get", "web", "/etc/hosts", "."], ["files 0"]],
  [["exec", "--out-dir", ""], ["directories 0"]],
  [
    ["run", "--resume", ""],
    ["", "20260101-000000-aaaaa"],
  ],
  [["run", "--web", "s"], ["files 0"]],
  [["run", "--web", "8"], [""]],
  [
    ["run", "--web", "site.ts", "-t", "i"],
    ["", "inner"],
  ],
  [
    ["report", ""],
    ["", "20260102-000000-bbbbb-exec", "20260101-000000-aaaaa"],
  ],
  [
    ["diff", ""],
    ["", "20260102-000000-bbbbb-exec", "20260101-000000-aaaaa"],
  ],
  [
    ["diff", "x", "y", "d"],
    ["", "db1"],
  ],
  [
    ["run", "-l", "@f"],
    ["", "@failed"],
  ],
  [
    ["run", "-l", "web,@20260101"],
    ["", "web,@20260101-000000-aaaaa"],
  ],
  [
    ["run", "site.ts", "-t", ""],
    ["", "inner", "other", "outer"],
  ],
  [
    ["run", "site.ts", "--tags=inner,o"],
    ["", "--tags=inner,other", "--tags=inner,outer"],
  ],
  [
    ["run", "site.yml", "--skip-tags", "d"],
    ["", "deploy"],
  ],
  [["run", "-t", ""], [""]],
  [
    ["doc", "apt_"],
    ["", "apt_key", "apt_repository"],
  ],
  [
    ["do", "web", "serv"],
    ["", "service", "service_facts"],
  ],
  [
    ["do", "web", "service", "sta"],
    ["goes-on", "state="],
  ],
  [
    ["do", "web", "service", "name=x", "state=re"],
    ["", "state=restarted", "state=reloaded"],
  ],
  [
    ["do", "web", "service", "enabled="],
    ["", "enabled=true", "enabled=false"],
  ],
  [["do", "web", "copy", "content=@a"], ["files 9"]],
  [["do", "web", "nothing", ""], [""]],
])("volley %j", async (words, expected) => {
  expect(await ask(...words)).toEqual(expected);
});

describe("inventories", () => {
  test.each([
    ["named.ts", ["all", "typed", "ts1"]],
    ["many", ["all", "nodes", "node[01-60]"]],
    ["vaulted.yaml", ["all"]],
    ["broken.yaml", ["all"]],
    ["program.sh", ["all"]],
    ["nowhere", ["all"]],
    ["one1,one2,", ["all", "one1", "one2"]],
  ])("%s", async (path, names) => {
    expect(await ask("exec", "-i", path, "")).toEqual(["", ...names]);
  });

  test("many hosts are node sets, unless a set would not begin with what is typed", async () => {
    expect(await ask("exec", "-i", "many", "node[")).toEqual([""]);
    expect(await ask("exec", "-i", "many", "node6")).toEqual(["", "node60"]);
  });

  test("programs are not run, and nothing is asked: the names are those that the latest command read", async () => {
    const asked = join(process.cwd(), "asked");
    expect(await ask("run", "site.yml", "-i", "program.sh", "-t", "")).toEqual(["", "deploy"]);
    expect(await ask("exec", "-i", "program.sh", "")).toEqual(["", "all"]);
    expect(existsSync(asked)).toBe(false);

    await loadInventory(["program.sh"], {
      cwd: process.cwd(),
      loadModule: () => Promise.reject(new Error()),
    });
    rmSync(asked);
    expect(await ask("exec", "-i", "./program.sh", "")).toEqual(["", "all", "clouds", "sky", "c1", "c2"]);
    // Vars of files are known, those of the program are not.
    expect(await ask("run", "vars.ts", "-i", "program.sh", "-t", "")).toEqual(["", "evening", "known"]);
    expect(existsSync(asked)).toBe(false);
    const kept = join(cacheDirectory(), "inventories");
    const texts = readdirSync(kept).map((name) => readFileSync(join(kept, name), "utf8"));
    expect(texts.join("")).not.toContain("unkept");
  });
});

test("the tags of a playbook of Ansible's need no inventory", async () => {
  const project = process.cwd();
  const empty = join(project, "..", "empty");
  mkdirSync(empty);
  vi.mocked(process.cwd).mockReturnValue(empty);
  vi.stubEnv("VOLLEY_INVENTORY", "");
  try {
    expect(await ask("run", join(project, "site.yml"), "-t", "")).toEqual(["", "deploy"]);
  } finally {
    vi.mocked(process.cwd).mockReturnValue(project);
    vi.stubEnv("VOLLEY_INVENTORY", join(project, "inventory.yaml"));
  }
});

test("descriptions stand behind a tab, but not for bash, which would insert them", async () => {
  expect(await answer(program, "fish", ["shap"])).toBe("\nshapes\n");
  expect(await answer(program, "fish", ["do"])).toContain("\ndo\tdo one action on many hosts\n");
  expect(await answer(program, "bash", ["volley do", "do"])).toBe("\ndoc\ndo\n");
});

test("a playbook that prints leaves the terminal alone", async () => {
  const writers = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, "write"));
  expect(await ask("run", "site.ts", "-t", "i")).toEqual(["", "inner"]);
  for (const write of writers) expect(write).not.toHaveBeenCalled();
});

describe("bash", () => {
  test.each([
    ["volley exec web:p", "p", "prod"],
    ["N=1 volley exec web:p", "p", "prod"],
    ["volley exec 'web:&p", "web:&p", "web:&prod"],
    ["volley do web service --x; volley exec d", "d", "db1"],
  ])("%s", async (line, replaced, inserted) => {
    expect(await answer(program, "bash", [line, replaced])).toBe(`\n${inserted}\n`);
  });

  test.each([
    ["a b", { words: ["a"], word: "b", typed: "b", quote: "" }],
    ["a ", { words: ["a"], word: "", typed: "", quote: "" }],
    ["a 'b c", { words: ["a"], word: "b c", typed: "'b c", quote: "'" }],
    [`a "b \\"c' d`, { words: ["a"], word: `b "c' d`, typed: `"b \\"c' d`, quote: '"' }],
    ["a b\\ c\\", { words: ["a"], word: "b c", typed: "b\\ c\\", quote: "\\" }],
    ["x | a b'c'd", { words: ["a"], word: "bcd", typed: "b'c'd", quote: "" }],
  ])("splits %s", (line, expected) => {
    expect(splitTyped(line)).toEqual(expected);
  });

  test("quotes what it adds as the quote that is open asks", () => {
    expect(quoteRest("it's $5 é", "")).toBe("it\\'s\\ \\$5\\ é");
    expect(quoteRest("it's $5", "'")).toBe("it'\\''s $5");
    expect(quoteRest("it's $5", '"')).toBe("it's \\$5");
    expect(quoteRest(" x", "\\")).toBe(" x");
  });
});
