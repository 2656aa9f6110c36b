import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BundledProject, bundleProject, runBundle } from "../bundle-fixture.ts";

const FILES = {
  "site.ts": `
import { copy, definePlaybook } from "volley";
export default definePlaybook([
  { name: "P", hosts: "all", tasks: ({ task, facts }) => void task("Copy", copy({ src: "large.txt", dest: facts.env.TARGET })) },
]);
`,
  "files/large.txt": Array.from({ length: 2_000 }, (_, index) => `line ${index * 7919}\n`).join(""),
  "files/run.sh": "#!/bin/sh\necho run\n",
};

let project: BundledProject;
beforeAll(async () => {
  project = await bundleProject(FILES);
});
afterAll(() => project[Symbol.dispose]());

function has(command: string): boolean {
  return spawnSync(command, ["--help"]).error === undefined;
}

const environment = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "/" };
const run = (file: string, env: Readonly<Record<string, string>> = {}) =>
  runBundle(file, ["--local", "here"], { env: { ...environment, TARGET: project.path("out"), ...env } });

/** Node under a name of its own on a PATH with nothing else but what the prelude needs. */
function makePath(name: string, files: Readonly<Record<string, string>>): string {
  const directory = project.path(name);
  mkdirSync(directory, { recursive: true });
  for (const [file, content] of Object.entries(files)) {
    writeFileSync(`${directory}/${file}`, content);
    chmodSync(`${directory}/${file}`, 0o755);
  }
  return directory;
}

test("the same input gives the same bytes", async () => {
  using again = await bundleProject(FILES);
  expect(again.bytes.equals(project.bytes)).toBe(true);
  expect(again.id).toBe(project.id);
  using other = await bundleProject({ ...FILES, "files/run.sh": "#!/bin/sh\necho ran\n" });
  expect(other.id).not.toBe(project.id);
});

test("it does not hold the path it was made at", () => {
  expect(project.bytes.includes(project.directory)).toBe(false);
});

test.runIf(has("unzip"))("unzip opens it, and finds nothing wrong with it", () => {
  const listed = spawnSync("unzip", ["-l", project.file], { encoding: "utf8" });
  expect(listed.status).toBe(0);
  for (const name of ["manifest.json", "playbook.js.br", "runner.js.br", "files/large.txt"]) {
    expect(listed.stdout).toContain(name);
  }
  expect(spawnSync("unzip", ["-t", project.file], { encoding: "utf8" }).stdout).toContain(
    "No errors detected",
  );
});

test.runIf(has("python3"))("Python's zipfile opens it, with the modes of its files", () => {
  const script = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as bundle:
    assert bundle.testzip() is None
    for entry in bundle.infolist():
        print(oct(entry.external_attr >> 16 & 0o777), entry.filename, entry.date_time)
`;
  const listed = execFileSync("python3", ["-c", script, project.file], { encoding: "utf8" });
  expect(listed).toContain("0o755 assets/./files/run.sh (1980, 1, 1, 0, 0, 0)");
  expect(listed).toContain("0o644 assets/./files/large.txt (1980, 1, 1, 0, 0, 0)");
});

test("it runs from a path with spaces and quotes in it", async () => {
  const directory = project.path('it\'s a "path"  with $spaces');
  mkdirSync(directory);
  const file = `${directory}/site.run`;
  copyFileSync(project.file, file);
  const { code, stderr } = await run(file);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});

test("it runs by a relative path", async () => {
  const { code } = await runBundle("site.run", ["--list"], { cwd: project.directory });
  expect(code).toBe(0);
});

test("it runs from a directory nothing can be written to, and leaves nothing beside it", async () => {
  const directory = project.path("read-only");
  mkdirSync(directory);
  copyFileSync(project.file, `${directory}/site.run`);
  chmodSync(`${directory}/site.run`, 0o444);
  chmodSync(directory, 0o555);
  try {
    const { code, stderr } = await run(`${directory}/site.run`);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(readdirSync(directory)).toEqual(["site.run"]);
  } finally {
    chmodSync(directory, 0o755);
  }
});

test("what NODE_OPTIONS holds does not matter", async () => {
  expect((await run(project.file, { NODE_OPTIONS: "--no-such-option" })).code).toBe(0);
});

describe("without a usable Node", () => {
  const reachable = ["/usr/local/bin/node", "/opt/node/bin/node"].some(existsSync);
  const nowhere = { HOME: "/nonexistent" };

  test.skipIf(reachable)("none at all: it says so, with the PATH and what to do", async () => {
    const path = makePath("no-node", {});
    const { code, stdout, stderr } = await run(project.file, { ...nowhere, PATH: path });
    expect(stderr).toBe(
      `volley: no Node found on this machine (PATH is ${path}); install Node 18 or newer, or set VOLLEY_NODE to one\n`,
    );
    expect({ code, stdout }).toEqual({ code: 97, stdout: "" });
  });

  test("VOLLEY_NODE names one", async () => {
    const path = makePath("no-node", {});
    const { code } = await run(project.file, { ...nowhere, PATH: path, VOLLEY_NODE: process.execPath });
    expect(code).toBe(0);
  });

  test("one in Volley's own cache is found", async () => {
    const home = project.path("home");
    mkdirSync(`${home}/.cache/volley/node/bin`, { recursive: true });
    writeFileSync(`${home}/.cache/volley/node/bin/node`, `#!/bin/sh\nexec ${process.execPath} "$@"\n`);
    chmodSync(`${home}/.cache/volley/node/bin/node`, 0o755);
    const { code } = await run(project.file, { HOME: home, PATH: makePath("no-node", {}) });
    expect(code).toBe(0);
  });

  test("one that is too old is named with its version and place", async () => {
    // As an old Node would see the bootstrap: only what it says of itself differs.
    const old = `#!/bin/sh
script="Object.defineProperty(process, 'version', { value: 'v12.22.9' });
Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '12.22.9' } });
$2"
shift 2
exec ${process.execPath} -e "$script" "$@"
`;
    const path = makePath("old-node", { node: old });
    const { code, stdout, stderr } = await run(project.file, { ...nowhere, PATH: path });
    expect(stderr).toMatch(/^volley: Node v12\.22\.9 \(\/.*\) is too old; Node 18 or newer is needed\n$/);
    expect({ code, stdout }).toEqual({ code: 97, stdout: "" });
  });
});

describe("damaged", () => {
  const damaged = async (name: string, bytes: Uint8Array) => {
    const file = project.path(name);
    writeFileSync(file, bytes);
    const ended = await run(file);
    return { ...ended, expected: `volley: ${file} is damaged or incomplete: send or build it again\n` };
  };
  const flipped = (at: number): Buffer => {
    const bytes = Buffer.from(project.bytes);
    bytes[at] = bytes[at]! ^ 0x10;
    return bytes;
  };
  /** Where an entry's content is, by its local header. */
  const contentOf = (name: string): number => {
    const header = project.bytes.indexOf(Buffer.concat([Buffer.from("PK\u0003\u0004", "latin1")]));
    const at = project.bytes.indexOf(name, header);
    return at + name.length + 200;
  };

  test.each([1, 22, 1_000, 100_000])(
    "without its last %i bytes it says that it is not whole",
    async (missing) => {
      const { code, stdout, stderr, expected } = await damaged(
        "short.run",
        project.bytes.subarray(0, -missing),
      );
      expect(stderr).toBe(expected);
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    },
  );

  test("with bytes after its end it says so too", async () => {
    const { code, stderr, expected } = await damaged(
      "long.run",
      Buffer.concat([project.bytes, Buffer.alloc(100)]),
    );
    expect({ code, stderr }).toEqual({ code: 1, stderr: expected });
  });

  test.each(["runner.js.br", "playbook.js.br"])(
    "with a bit flipped in %s it refuses to run",
    async (name) => {
      const { code, stdout, stderr, expected } = await damaged("flipped.run", flipped(contentOf(name)));
      expect(code).toBeGreaterThan(0);
      expect(stdout).not.toContain("[changed");
      expect(stderr).toContain(expected.trimEnd());
      expect(stderr).not.toContain("    at ");
    },
  );

  test("with a bit flipped in an asset the task that needs it fails, and nothing wrong is written", async () => {
    const target = project.path("target-of-damaged");
    writeFileSync(project.path("asset.run"), flipped(contentOf("files/large.txt")));
    const { code, stdout } = await run(project.path("asset.run"), { TARGET: target });
    expect(stdout).toContain("is damaged or incomplete");
    expect(existsSync(target)).toBe(false);
    expect(code).toBe(2);
  });

  test("with a bit flipped in the zip's directory it refuses to run", async () => {
    const end = project.bytes.length - 22;
    const directory = project.bytes.readUInt32LE(end + 16);
    for (const at of [directory, directory + 28, directory + 29, directory + 43, end + 13, end + 17]) {
      const { code, stdout, stderr } = await damaged("directory.run", flipped(at));
      expect(code, `byte ${at - directory}`).toBeGreaterThan(0);
      expect(stdout + stderr, `byte ${at - directory}`).toContain("is damaged or incomplete");
      expect(stdout).not.toContain("[changed");
      expect(stderr).not.toContain("    at ");
    }
  });
});
