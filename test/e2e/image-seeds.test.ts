import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { expect, test } from "vitest";
import { readIso } from "../image/read-iso.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, playbookText, scratchDirectory, TWO_FILES } from "./lib/project.ts";

// `volley image cloud-init` and `volley image pi`, up to the files that they write.

const scratch = scratchDirectory();
const files = { "site.ts": playbookText(TWO_FILES) };
const CLOUD = ["image", "cloud-init", "site.ts", "-i", "web1,web2,", "-l", "web1"];

test.each([
  [
    [...CLOUD, "--unsigned"],
    /no file to write was named \(name the user-data with -o, or a volume with --iso\)/,
  ],
  [[...CLOUD, "-o", "user-data"], /no key was named \(give --sign KEY, or --unsigned/],
  [
    [...CLOUD, "-o", "user-data", "--unsigned"],
    /the bundle, of \d+(\.\d)? KiB, does not fit into user-data of at most 16 KiB \(name with --url where/,
  ],
  [
    [...CLOUD, "-o", "user-data", "--unsigned", "--url", "ftp://host/x"],
    /--url takes an address that begins with http:\/\/ or https:\/\/, not ftp:\/\/host\/x/,
  ],
  [
    [...CLOUD, "-o", "-", "--unsigned", "--url", "http://host/x"],
    /the bundle of --url is written beside the user-data/,
  ],
  [
    [...CLOUD, "-o", "user-data", "--unsigned", "--url", "http://host/user-data"],
    /two files would be written to .*\/user-data \(give -o, --iso and the file of --url names of their own\)/,
  ],
  [
    ["image", "pi", ".", "site.ts", "-i", "web1,", "-l", "web1", "--unsigned", "--no-runtime"],
    /\. is no boot partition of a Raspberry Pi: it has no cmdline\.txt/,
  ],
  [
    [
      "image",
      "pi",
      ".",
      "site.ts",
      "-i",
      "web1,",
      "-l",
      "web1",
      "--unsigned",
      "--no-runtime",
      "--arch",
      "x64",
    ],
    /leave out --no-runtime/,
  ],
] as const)("%j is refused with a line, and nothing is written", async (args, says) => {
  const project = makeProject(scratch(), files);
  const before = readdirSync(project.directory);
  const end = await volleyHere(args, { cwd: project.directory });
  expect(end).toMatchObject({ code: 1, stdout: "" });
  expect(end.stderr).toMatch(says);
  expect(end.stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(readdirSync(project.directory)).toEqual(before);
});

test("user-data with an address: the bundle is beside it, under the name of the address", async () => {
  const project = makeProject(scratch(), files);
  const args = [
    ...CLOUD,
    "--unsigned",
    "-o",
    "out/user-data",
    "--url",
    "https://example.com/boot/web1.run?x=1",
  ];
  mkdirSync(project.path("out"));
  const { code, stdout, stderr } = await volleyHere(args, { cwd: project.directory });
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^out\/web1\.run: the bundle for web1, .* KiB, SHA-256 [0-9a-f]{64}; put it at https:\/\/example\.com\/boot\/web1\.run\?x=1\nout\/user-data: user-data for web1, \d\.\d KiB\n$/,
  );
  for (const name of ["web1.run", "user-data"])
    expect(statSync(project.path(`out/${name}`)).mode & 0o777).toBe(0o600);
});

test("a volume: it holds the bundle", async () => {
  const project = makeProject(scratch(), files);
  const { code } = await volleyHere([...CLOUD, "--unsigned", "--iso", "seed.iso"], {
    cwd: project.directory,
  });
  expect(code).toBe(0);
  const { joliet } = readIso(readFileSync(project.path("seed.iso")));
  expect(joliet.files.map(({ name }) => name)).toEqual(["meta-data", "site.run", "user-data"]);
});

test("a boot partition never gets secrets unasked", async () => {
  const project = makeProject(scratch(), {
    ...files,
    "inventory.ts":
      'import { defineInventory, secret } from "volley";\nexport default defineInventory({ hosts: { pi1: { vars: { token: secret.env("TOKEN") } } } });\n',
    "boot/cmdline.txt": "rootwait\n",
  });
  const args = [
    "image",
    "pi",
    "boot",
    "site.ts",
    "-i",
    "inventory.ts",
    "-l",
    "pi1",
    "--unsigned",
    "--no-runtime",
  ];
  const given = { cwd: project.directory, env: { TOKEN: "correct horse" } };
  const refused = await volleyHere(args, given);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("the bundle would hold secrets in clear: token of pi1");
  expect(readdirSync(project.path("boot"))).toEqual(["cmdline.txt"]);
  const asked = await volleyHere([...args, "--with-secrets"], given);
  expect(asked.stderr).toBe("");
  expect(asked.stdout).toMatch(
    /^boot: first boot of pi1, bundle of .*\nThe machine restarts before it provisions itself\.\n$/,
  );
  expect(readdirSync(project.path("boot")).sort()).toEqual(["cmdline.txt", "volley", "volley-firstrun.sh"]);
});

test("user-data whose inventory has a fault comes with a warning", async () => {
  const project = makeProject(scratch(), { ...files, inventory: "[web]\npi1\n[pi1]\npi1\n" });
  const args = ["image", "cloud-init", "site.ts", "-i", "inventory", "-l", "pi1", "--unsigned"];
  const made = await volleyHere([...args, "-o", "user-data", "--max-size", "1000"], {
    cwd: project.directory,
  });
  expect(made).toMatchObject({
    code: 0,
    stderr: "volley: warning: a host and a group are both called pi1: in patterns it is the group\n",
  });
});
