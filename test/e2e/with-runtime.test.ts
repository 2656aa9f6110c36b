import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { carryBundle } from "../../src/controller/prepare/carry.ts";
import { makeProject, playbookText } from "./lib/project.ts";
import { ARCH, keepSmallRuntime, type RuntimeContent } from "./lib/runtimes.ts";

// Bundles that hold a runtime, run with a search path on which there is no Node.

let root: string;
let home: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "volley-carried-"));
  vi.stubEnv("XDG_CACHE_HOME", join(root, "cache"));
  mkdirSync(join(root, "bin"));
  for (const name of TOOLS)
    symlinkSync(execFileSync("which", [name], { encoding: "utf8" }).trim(), join(root, "bin", name));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  home = mkdtempSync(join(root, "home-"));
});

/** The programs that such a bundle needs. */
const TOOLS = [
  ...[
    "sh",
    "uname",
    "mkdir",
    "tail",
    "head",
    "gzip",
    "tar",
    "sha256sum",
    "rm",
    "mv",
    "ls",
    "grep",
    "find",
    "chmod",
  ],
];

const runtimes = (): string => join(home, ".cache/volley/runtimes");

/** Build a bundle with a small runtime; returns the file and the runtime's id. */
async function build(content: RuntimeContent = {}): Promise<{ readonly file: string; readonly id: string }> {
  const { id } = await keepSmallRuntime(content);
  const project = makeProject(root, {
    "site.ts": playbookText(
      '{ name: "Play", hosts: "all", tasks: ({ task, host }) => { task("Write", copy({ content: "it is there", dest: host.vars.dest })); } }',
    ),
    "inventory.yaml": `all: { hosts: { web1: { dest: ${join(home, "written")} } } }`,
  });
  const { bytes } = await carryBundle({
    playbook: project.path("site.ts"),
    cwd: project.directory,
    inventory: [project.path("inventory.yaml")],
    runtimes: [ARCH],
  });
  const file = join(home, "site.run");
  writeFileSync(file, bytes, { mode: 0o600 });
  return { file, id };
}

function run(file: string, env: Readonly<Record<string, string>> = {}) {
  const { status, stdout, stderr } = spawnSync("/bin/sh", [file, "--local", "web1"], {
    env: { HOME: home, PATH: join(root, "bin"), ...env },
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

/** Put a `uname` of another machine before the others. */
function pretendMachine(machine: string): Readonly<Record<string, string>> {
  const directory = join(home, "machine");
  mkdirSync(directory);
  writeFileSync(join(directory, "uname"), `#!/bin/sh\necho ${machine}\n`, { mode: 0o755 });
  return { PATH: `${directory}:${join(root, "bin")}` };
}

test("runs where there is no Node, and unpacks its own once, for the account alone", async () => {
  const { file, id } = await build();
  expect(run(file)).toMatchObject({ status: 0, stderr: "", stdout: expect.stringContaining("[changed") });
  expect(readFileSync(join(home, "written"), "utf8")).toBe("it is there");
  expect(readdirSync(runtimes())).toEqual([id]);
  expect([runtimes(), join(runtimes(), id)].map((path) => statSync(path).mode & 0o777)).toEqual([
    0o700, 0o700,
  ]);
  const before = statSync(join(runtimes(), id, "node"));
  expect(run(file)).toMatchObject({ status: 0, stderr: "", stdout: expect.stringContaining("[unchanged") });
  expect(statSync(join(runtimes(), id, "node")).ino).toBe(before.ino);
});

const hasUnzip = spawnSync("unzip", ["-v"]).error === undefined;
test.skipIf(!hasUnzip)("stays a zip, which lists the runtime", async () => {
  const { file } = await build();
  const listed = execFileSync("unzip", ["-l", file], { encoding: "utf8" });
  expect(listed).toContain(`runtime/${ARCH}.tar.gz`);
});

describe("where its Node cannot be used, a line says so, and another Node is looked for", () => {
  const NONE = expect.stringContaining("no Node found on this machine");
  test("another machine", async () => {
    const { file } = await build();
    const ran = run(file, pretendMachine("riscv64"));
    expect(ran).toMatchObject({ status: 97, stderr: NONE });
    expect(ran.stderr).toContain(`this bundle holds Node for ${ARCH}, not for riscv64`);
    expect(existsSync(runtimes())).toBe(false);
    expect(run(file, { ...pretendMachineAgain(), VOLLEY_NODE: process.execPath })).toMatchObject({
      status: 0,
    });
  });
  const pretendMachineAgain = () => ({ PATH: `${join(home, "machine")}:${join(root, "bin")}` });

  test("a byte of the runtime was changed", async () => {
    const { file } = await build();
    const bytes = readFileSync(file);
    const at = bytes.indexOf(Buffer.from([0x1f, 0x8b, 0x08]));
    bytes[at + 40]! ^= 1;
    writeFileSync(file, bytes);
    const ran = run(file);
    expect(ran).toMatchObject({ status: 97, stderr: NONE });
    expect(ran.stderr).toContain("the Node of this bundle is damaged: copy or build the file again");
    expect(readdirSync(runtimes())).toEqual([]);
  });

  test("a Node that does not start", async () => {
    const { file } = await build({ program: "#!/bin/sh\necho 'it needs another kernel'\nexit 1\n" });
    const ran = run(file);
    expect(ran).toMatchObject({ status: 97, stderr: NONE });
    expect(ran.stderr).toContain("the Node of this bundle cannot be started here: it needs another kernel");
    expect(readdirSync(runtimes())).toEqual([]);
  });

  test.skipIf(process.getuid?.() === 0)("a cache that cannot be written", async () => {
    const { file } = await build();
    mkdirSync(join(home, ".cache"), { mode: 0o500 });
    expect(run(file).stderr).toContain(`cannot be kept in ${runtimes()}, which is not yours`);
    chmodSync(join(home, ".cache"), 0o700);
  });
});

test("a start that comes while another one unpacks leaves that one its archive", async () => {
  const { file, id } = await build();
  const directory = join(home, "first");
  mkdirSync(directory);
  const others = join(root, "bin");
  // The first start unpacks only once a second one has come and gone.
  const gzip = `#!/bin/sh
if mkdir '${home}/begun' 2>/dev/null; then PATH='${others}' /bin/sh '${file}' --list >/dev/null || exit 9; fi
exec '${others}/gzip' "$@"
`;
  writeFileSync(join(directory, "gzip"), gzip, { mode: 0o755 });
  expect(run(file, { PATH: `${directory}:${others}` })).toMatchObject({ status: 0, stderr: "" });
  expect(existsSync(join(home, "begun"))).toBe(true);
  expect(readdirSync(runtimes())).toEqual([id]);
});

test("VOLLEY_RUNTIME_DIR keeps the runtime elsewhere", async () => {
  const { file, id } = await build();
  const place = join(home, "it's elsewhere");
  expect(run(file, { VOLLEY_RUNTIME_DIR: place })).toMatchObject({ status: 0, stderr: "" });
  expect(readdirSync(place)).toEqual([id]);
  expect(existsSync(runtimes())).toBe(false);
});

test("a runtime that was not fetched is named, and how to get it", async () => {
  const other = ARCH === "x64" ? "arm64" : "x64";
  const project = makeProject(root, {
    "site.ts": playbookText('{ name: "Play", hosts: "all", tasks: () => {} }'),
  });
  await expect(
    carryBundle({ playbook: project.path("site.ts"), cwd: project.directory, runtimes: [other] }),
  ).rejects.toMatchObject({
    code: "RUNTIME_FAILED",
    hint: `volley runtime fetch --arch ${other} brings one`,
  });
});
