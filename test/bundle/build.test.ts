import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { carryBundle } from "../../src/controller/prepare/carry.ts";
import { preparePlaybook } from "../../src/controller/prepare/read.ts";
import { makeProject, type Project, playbookText, scratchDirectory, TWO_FILES } from "../e2e/lib/project.ts";

const scratch = scratchDirectory();

const role = `import { copy, defineRole, template } from "volley";
export default defineRole({
  name: "web",
  tasks({ task }) {
    task("C", copy({ src: "a.txt", dest: "~/a" }));
    task("T", template({ src: "b.j2", dest: "~/b" }));
  },
});
`;
const site = `import { definePlaybook } from "volley";
import web from "./roles/web/role.ts";
export default definePlaybook([{ hosts: "all", roles: [web()] }]);
`;

function makeWeb(): Project {
  return makeProject(scratch(), {
    "site.ts": site,
    "roles/web/role.ts": role,
    "roles/web/files/a.txt": "a\n",
    "roles/web/templates/b.j2": "{{ 1 + 1 }}\n",
  });
}

function clearCache(): void {
  rmSync(process.env.XDG_CACHE_HOME!, { recursive: true, force: true });
}

async function bundleOf(
  project: Project,
): Promise<{ readonly id: string; readonly bytes: Buffer; readonly reused: boolean }> {
  return (await preparePlaybook("site.ts", project.directory)).bundle({ vars: [] });
}

test("the same project gives the same bytes wherever it lies, whenever its files were written", async () => {
  const one = makeWeb();
  const two = makeWeb();
  utimesSync(two.path("roles/web/files/a.txt"), 1_000_000, 1_000_000);
  const first = await bundleOf(one);
  expect(first.id).toBe(createHash("sha256").update(first.bytes).digest("hex"));
  expect((await bundleOf(two)).id).toBe(first.id);
  clearCache();
  expect(await bundleOf(one)).toMatchObject({ id: first.id, reused: false });
});

test("it is built once, and again when anything it holds changes", async () => {
  const project = makeWeb();
  const first = await bundleOf(project);
  expect(await bundleOf(project)).toMatchObject({ id: first.id, reused: true });
  const changes: readonly (() => void)[] = [
    () => project.write("roles/web/files/a.txt", "changed\n"),
    () => project.write("roles/web/files/new.txt", "new\n"),
    () => project.write("roles/web/files/below/deeper.txt", "new\n"),
    () => rmSync(project.path("roles/web/files/new.txt")),
    () => chmodSync(project.path("roles/web/files/a.txt"), 0o600),
    () => project.write("roles/web/templates/b.j2", "{{ 2 + 2 }}\n"),
    () => project.write("roles/web/role.ts", role.replace('"T"', '"Template"')),
    () => project.write("site.ts", site.replace('"all"', '"web"')),
  ];
  const ids = new Set([first.id]);
  for (const change of changes) {
    change();
    const { id, reused } = await bundleOf(project);
    expect(reused).toBe(false);
    ids.add(id);
  }
  expect(ids.size).toBe(changes.length + 1);
});

test("a cache that is damaged or cannot be written costs time, not the run", async () => {
  const project = makeWeb();
  const { id } = await bundleOf(project);
  for (const name of execFileSync("find", [process.env.XDG_CACHE_HOME!, "-type", "f"], { encoding: "utf8" })
    .trim()
    .split("\n"))
    writeFileSync(name, "damaged");
  expect((await bundleOf(project)).id).toBe(id);
  clearCache();
  writeFileSync(process.env.XDG_CACHE_HOME!, "a file where the directory should be");
  expect((await bundleOf(project)).id).toBe(id);
  clearCache();
});

test("any zip reader opens it, and it holds no path of this machine", async () => {
  const project = makeWeb();
  const { bytes } = await bundleOf(project);
  const file = project.path("site.run");
  writeFileSync(file, bytes);
  const names = execFileSync(
    "python3",
    [
      "-c",
      "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print('\\n'.join(z.namelist()))",
      file,
    ],
    { encoding: "utf8" },
  )
    .trim()
    .split("\n");
  expect(names).toEqual(expect.arrayContaining(["manifest.json", "playbook.js.br"]));
  expect(names.filter((name) => name.includes("roles/web/"))).toHaveLength(2);
  expect(bytes.includes(project.directory)).toBe(false);
});

test("carried: holds the vars of its hosts and of no others, and runs by itself", async () => {
  const project = makeProject(scratch(), {
    "site.ts": playbookText(TWO_FILES),
    "hosts.yaml": "all:\n  hosts:\n    web1: { token: mine-1234 }\n    web2: { token: others-5678 }\n",
  });
  const { bytes, hosts } = await carryBundle({
    playbook: "site.ts",
    cwd: project.directory,
    inventory: ["hosts.yaml"],
    limit: "web1",
  });
  expect(hosts).toEqual(["web1"]);
  const file = project.path("site.run");
  writeFileSync(file, bytes);
  const manifest = execFileSync(
    "python3",
    ["-c", "import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).read('manifest.json').decode())", file],
    { encoding: "utf8" },
  );
  expect(manifest).toContain("mine-1234");
  expect(manifest).not.toContain("others-5678");
  const home = project.path("home");
  mkdirSync(home);
  const local = (): ReturnType<typeof spawnSync> =>
    spawnSync("/bin/sh", [file, "--local", "web1"], {
      env: { HOME: home, PATH: process.env.PATH },
      encoding: "utf8",
    });
  const first = local();
  expect(first.status, String(first.stderr)).toBe(0);
  expect(readFileSync(join(home, "b"), "utf8")).toBe("b\n");
  expect(String(local().stdout)).toMatch(/2 unchanged, 0 changed/);
});

test("a bundle a run sends holds no host's vars", async () => {
  const { bytes } = await bundleOf(makeWeb());
  expect(bytes.includes('"hosts":{')).toBe(false);
});

test("what cannot be a playbook is refused before anything is compiled", async () => {
  const project = makeProject(scratch(), { "site.run": "#!/bin/sh\n", "notes.md": "", "dir/x": "" });
  await expect(preparePlaybook("site.run", project.directory)).rejects.toMatchObject({
    code: "BUNDLE_INVALID",
    hint: expect.stringContaining("it looks like a bundle"),
  });
  await expect(preparePlaybook("notes.md", project.directory)).rejects.toMatchObject({
    code: "BUNDLE_INVALID",
  });
  await expect(preparePlaybook("dir", project.directory)).rejects.toMatchObject({
    code: "PLAYBOOK_MISSING",
    message: "dir is not a file",
  });
  await expect(preparePlaybook("none.ts", project.directory)).rejects.toMatchObject({
    code: "PLAYBOOK_MISSING",
  });
});

test("native code of a package is refused with the chain of imports", async () => {
  const project = makeProject(scratch(), {
    "site.ts": `import "native";\n${playbookText(TWO_FILES)}`,
    "node_modules/native/package.json": '{ "name": "native", "main": "index.js" }',
    "node_modules/native/index.js": 'module.exports = require("./addon.node");',
    "node_modules/native/addon.node": "\u007fELF",
  });
  await expect(preparePlaybook("site.ts", project.directory)).rejects.toMatchObject({
    code: "BUNDLE_FORBIDDEN",
    message: "node_modules/native/addon.node cannot run on a host: it is compiled for one kind of machine",
    hint: "imported through site.ts -> node_modules/native/index.js -> node_modules/native/addon.node",
  });
});

test("files of more than a bundle can hold are named before they are read", async () => {
  const project = makeWeb();
  truncateSync(project.path("roles/web/files/a.txt"), 2_200 * 1024 * 1024);
  const message =
    /a bundle holds at most 2 GiB of files, and .*roles\/web\/files\/a\.txt \(2306867200 bytes\)/;
  await expect(bundleOf(project)).rejects.toThrow(message);
});

test("a file that is named as a directory of files would be is none", async () => {
  const project = makeProject(scratch(), {
    "site.yml": "- hosts: all\n  tasks:\n    - shell: ls -la /srv/x; true\n    - script: files/a/b\n",
    files: "a list\n",
    templates: "",
  });
  const { bundle } = await preparePlaybook("site.yml", project.directory);
  expect((await bundle({ vars: [] })).bytes.length).toBeGreaterThan(0);
});

test("the cache is for its owner only", async () => {
  clearCache();
  await bundleOf(makeWeb());
  const directory = join(process.env.XDG_CACHE_HOME!, "volley");
  expect(existsSync(directory)).toBe(true);
  expect(statSync(directory).mode & 0o077).toBe(0);
});

test("roles whose paths differ only in how they leave the playbook's directory keep files of their own", async () => {
  const places = [
    "roles/web",
    "play/_/roles/web",
    "play/__/roles/web",
    "play/_up/roles/web",
    "play/roles/v1..2",
  ];
  const roleNamed = (name: string): string => role.replace('"web"', JSON.stringify(name));
  const project = makeProject(scratch(), {
    "play/site.ts": `import { definePlaybook } from "volley";
import a from "../roles/web/role.ts";
import b from "./_/roles/web/role.ts";
import c from "./__/roles/web/role.ts";
import d from "./_up/roles/web/role.ts";
import e from "./roles/v1..2/role.ts";
export default definePlaybook([{ hosts: "all", roles: [a(), b(), c(), d(), e()] }]);
`,
    ...Object.fromEntries(
      places.flatMap((place, index) => [
        [`${place}/role.ts`, roleNamed(`role${index}`)],
        [`${place}/files/a.txt`, `of ${place}`],
        [`${place}/templates/b.j2`, ""],
      ]),
    ),
  });
  const { playbook, assets } = await preparePlaybook("play/site.ts", project.directory);
  const found = playbook.plays[0]!.roles.map(({ role: { directory = "" } }) => [
    directory.split("/").includes(".."),
    assets.file(directory, "files/a.txt")?.read().toString(),
  ]);
  expect(found).toEqual(places.map((place) => [false, `of ${place}`]));
});
