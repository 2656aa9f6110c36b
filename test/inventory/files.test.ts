import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { inventoryCommand } from "../../src/cli/inventory.ts";
import { isVolleyError } from "../../src/core/errors.ts";
import { decodeUtf8 } from "../../src/core/unix/user-file.ts";
import { loadInventory } from "../../src/inventory/load.ts";
import { createSecretStore } from "../../src/vars/secrets/store.ts";
import { VAULT } from "../vars/secrets/vault-fixtures.ts";
import { failure, loadModule, project } from "./project.ts";

const HOSTS = "[web]\nweb1\n";

/** A project whose files are given as bytes where they are not text. */
async function bytesProject(
  files: Readonly<Record<string, string>>,
  name: string,
  bytes: Buffer,
): Promise<string> {
  const cwd = await project({ ...files, [name]: bytes.toString("latin1") });
  await writeFile(join(cwd, name), bytes);
  return cwd;
}

const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");

describe("files that are not UTF-8", () => {
  it.each<[string, string, string]>([
    ["hosts", "[web]\nweb1\nweb2 city=Münster\n", "hosts:3"],
    ["hosts.yml", "all:\n  hosts:\n    web1: {city: Köln}\n", "hosts.yml:3"],
    ["hosts.json", '{"all": {"hosts":\n {"web1": {"x": "ä"}}}}', "hosts.json:2"],
    [
      "hosts.sh",
      '#!/bin/sh\nprintf \'{"web": {"hosts": ["web1"], "vars": {\\n"x": "\\344"}}}\'\n',
      "hosts.sh --list:2",
    ],
  ])("%s is refused, with its line", async (name, text, place) => {
    const cwd = await bytesProject({}, name, latin1(text));
    expect(await failure(loadInventory([name], { cwd, loadModule }))).toBe(
      `INVENTORY_INVALID ${place} this is not UTF-8`,
    );
  });

  it("vars files are refused, with their line", async () => {
    const cwd = await bytesProject(
      { hosts: HOSTS },
      "host_vars/web1.yml",
      latin1("a: ä ok\nb: Grün\n".replace("ä", "a")),
    );
    expect(await failure(loadInventory(["hosts"], { cwd, loadModule }))).toBe(
      "INVENTORY_INVALID host_vars/web1.yml:2 this is not UTF-8",
    );
  });

  it("secrets are refused", async () => {
    const cwd = await bytesProject({}, "key", latin1("a\nschlüssel"));
    const store = createSecretStore({ cwd });
    const { secret } = await import("../../src/core/secret.ts");
    expect(await failure(store.value(secret.file("key"), "k of host a", undefined))).toContain(
      "k of host a cannot be had: line 2 of the file key is not UTF-8",
    );
    expect(await failure(store.value(secret.command("printf 'x\\374'"), "k of host a", undefined))).toContain(
      "is not UTF-8",
    );
  });

  it.each<[string, number | string]>([
    ["a\nb\n\xff", 3],
    ["\xc3", 1],
    ["a\xef\xbf\xbd\n\xe4", 2],
    ["\xef\xbb\xbfa: 1", "\ufeffa: 1"],
    ["\xef\xbf\xbd", "\ufffd"],
  ])("%j", (bytes, expected) => {
    expect(decodeUtf8(latin1(bytes))).toEqual(
      typeof expected === "string" ? { text: expected } : { line: expected },
    );
  });
});

function makePipe(path: string): void {
  execFileSync("sh", ["-c", 'mkfifo "$1"', "sh", path]);
}

describe("what is no file", () => {
  it.each([
    ["host_vars/web1", "host_vars/web1 is a named pipe, where a vars file is looked for"],
    ["group_vars/web/pipe", "group_vars/web/pipe is a named pipe, where a vars file is looked for"],
    ["pipe", "./pipe is a named pipe, where an inventory is looked for"],
  ])("a pipe at %s is named, and nobody waits for it", async (name, message) => {
    const cwd = await project({ hosts: HOSTS, [`${name}.keep`]: "" });
    makePipe(join(cwd, name));
    const paths = name === "pipe" ? ["."] : ["hosts"];
    const thrown: unknown = await loadInventory(paths, { cwd, loadModule }).catch((error: unknown) => error);
    expect(isVolleyError(thrown) && thrown.message.replace(/^pipe/, "./pipe")).toBe(message);
  });

  it("a link to /dev/null says nothing, as in Ansible", async () => {
    const cwd = await project({ hosts: HOSTS, "group_vars/all.yml": "x: 1" });
    execFileSync("ln", ["-s", "/dev/null", join(cwd, "group_vars/web.yml")]);
    const inventory = await loadInventory(["hosts"], { cwd, loadModule });
    expect(inventory.hosts.get("web1")?.vars).toEqual({ x: 1 });
  });

  it.each([
    ["INI", "[web]\nweb1 x=1\n", { x: 1 }],
    ["YAML", "web:\n  hosts:\n    web1: {x: 1}\n", { x: 1 }],
  ])("a pipe that is named is read, as <(command) is one: %s", async (_format, text, vars) => {
    const cwd = await project({ text });
    const pipe = join(cwd, "pipe");
    makePipe(pipe);
    const written = once(spawn("sh", ["-c", "cat text > pipe"], { cwd }), "close");
    const inventory = await loadInventory(["pipe"], { cwd, loadModule });
    await written;
    expect(inventory.hosts.get("web1")?.vars).toEqual(vars);
  });

  it("a program in a pipe cannot be run", async () => {
    const cwd = await project({ text: "#!/bin/sh\n" });
    makePipe(join(cwd, "pipe"));
    const written = once(spawn("sh", ["-c", "cat text > pipe"], { cwd }), "close");
    expect(await failure(loadInventory(["pipe"], { cwd, loadModule }))).toBe(
      "INVENTORY_INVALID pipe a program that is to print an inventory must be a file",
    );
    await written;
  });
});

/** Return the standard output and standard error of `volley inventory`. */
async function shown(
  files: Readonly<Record<string, string>>,
  action: "list" | "host",
  args: readonly string[],
  json: boolean,
): Promise<{ readonly out: string; readonly err: string }> {
  const cwd = await project(files);
  let [out, err] = ["", ""];
  await inventoryCommand(
    action,
    args,
    { inventory: ["hosts"], json },
    {
      stdout: (text) => {
        out += text;
      },
      stderr: (text) => {
        err += text;
      },
      color: false,
      cwd,
      loadModule,
      secrets: createSecretStore({ cwd, env: {} }),
    },
  );
  return { out, err };
}

describe("what is likely not to be meant", () => {
  it.each([
    ["list", [], false],
    ["list", [], true],
    ["host", ["web1"], true],
  ] as const)("%s %j tells of a vault file that was not opened", async (action, args, json) => {
    const { err } = await shown({ hosts: HOSTS, "group_vars/web.yml": VAULT.whole }, action, args, json);
    expect(err).toMatch(
      /^volley: warning: what it sets is left out: group_vars\/web\.yml: this file cannot be read: it is encrypted with Ansible Vault.* no password was given \(give one with .*\)\n$/,
    );
  });

  it("a host and a group of one name are told of", async () => {
    const { err } = await shown({ hosts: "web1\n[web]\nweb\nweb2\n" }, "list", [], false);
    expect(err).toBe(
      "volley: warning: a host and a group are both called web: in patterns it is the group\n",
    );
    const { err: none } = await shown({ hosts: HOSTS }, "list", [], false);
    expect(none).toBe("");
  });
});
