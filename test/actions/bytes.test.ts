import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { authorized_key } from "../../src/actions/accounts/authorized-key.ts";
import { blockinfile } from "../../src/actions/edit/blockinfile.ts";
import { lineinfile } from "../../src/actions/edit/lineinfile.ts";
import { replace } from "../../src/actions/edit/replace.ts";
import { copy } from "../../src/actions/files/copy.ts";
import { file } from "../../src/actions/files/file.ts";
import { unarchive } from "../../src/actions/files/unarchive.ts";
import { cron } from "../../src/actions/system/cron.ts";
import { sysctl } from "../../src/actions/system/sysctl.ts";
import type { ActionCall } from "../../src/core/action.ts";
import { bytesToText } from "../../src/core/values/bytes.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox, testsWorkDirectly } from "./harness.ts";

const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHh0";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const run = (call: ActionCall) => pass(call, sandbox.system, sandbox.context());
/** Text with one byte a character: `caf\xe9` is not UTF-8. */
const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");
/** A path below the root whose last name is such text. */
const raw = (path: string): Buffer => Buffer.concat([Buffer.from(`${sandbox.root}/`), latin1(path)]);

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc/cron.d"), { recursive: true });
  mkdirSync(at("srv"));
});
afterEach(() => sandbox[Symbol.dispose]());

describe("bytes of a file that are not UTF-8 are kept by", () => {
  const UTF8_ETE = "\xc3\xa9t\xc3\xa9";
  const cases: readonly (readonly [string, string, ActionCall, string])[] = [
    [
      "cron, of a cron_file",
      "# caf\xe9\n0 1 * * * root /bin/x\n",
      cron({ name: "y", job: "/bin/y", user: "root", cron_file: "/etc/f" }),
      "# caf\xe9\n0 1 * * * root /bin/x\n#Ansible: y\n* * * * * root /bin/y\n",
    ],
    [
      "sysctl, of its file",
      "# caf\xe9\n",
      sysctl({ name: "vm.swappiness", value: 10, sysctl_file: "/etc/f", reload: false }),
      "# caf\xe9\nvm.swappiness=10\n",
    ],
    [
      "authorized_key",
      `${KEY} Andr\xe9\n`,
      authorized_key({
        user: "u",
        key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHh1",
        path: "/etc/f",
        manage_dir: false,
      }),
      `${KEY} Andr\xe9\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHh1\n`,
    ],
    [
      "lineinfile, whose patterns match as before",
      `caf\xe9\n${UTF8_ETE}\nz\n`,
      lineinfile({ path: "/etc/f", insertafter: "^été", line: "à" }),
      `caf\xe9\n${UTF8_ETE}\n\xc3\xa0\nz\n`,
    ],
    [
      "lineinfile, whose line is found",
      `\xff\n${UTF8_ETE}\n`,
      lineinfile({ path: "/etc/f", regexp: "^.t.$", line: "x" }),
      "\xff\nx\n",
    ],
    [
      "blockinfile",
      `\xe9\n${UTF8_ETE}\n`,
      blockinfile({ path: "/etc/f", insertbefore: "^été$", block: "ü" }),
      `\xe9\n# BEGIN ANSIBLE MANAGED BLOCK\n\xc3\xbc\n# END ANSIBLE MANAGED BLOCK\n${UTF8_ETE}\n`,
    ],
    [
      "replace",
      `caf\xe9 ${UTF8_ETE}\n`,
      replace({ path: "/etc/f", regexp: "é(t)", replace: "É\\1" }),
      "caf\xe9 \xc3\x89t\xc3\xa9\n",
    ],
  ];
  it.each(cases)("%s", async (_name, before, call, after) => {
    const { uid, gid } = sandbox.system;
    writeFileSync(at("etc/passwd"), `u:x:${uid}:${gid}::/home/u:/bin/sh\n`);
    writeFileSync(at("etc/group"), `u:x:${gid}:\n`);
    writeFileSync(at("etc/f"), latin1(before));
    await checkApplyAgain(sandbox, call);
    expect(readFileSync(at("etc/f")).toString("latin1")).toBe(after);
  });

  it("what asks a command for them, and by what a command is given", async () => {
    const { system } = sandbox;
    const asked = await system.query(["printf", "caf\\351"], { keepsBytes: true });
    expect(asked.stdout).toBe("caf\udce9");
    expect((await system.query(["printf", "caf\\351"])).stdout).toBe("caf\ufffd");
    const input = bytesToText(latin1("caf\xe9"));
    expect((await system.run(["od", "-An", "-tx1"], { input })).stdout.trim()).toBe("63 61 66 e9");
  });
});

describe("names that are not UTF-8", () => {
  const mode = (path: string): string => (lstatSync(raw(path)).mode & 0o777).toString(8);

  beforeEach((context) => {
    // The library of the embedded server knows no other names: see test/direct/names.test.ts.
    if (testsWorkDirectly()) context.skip();
    mkdirSync(raw("srv/d\xe9"), { mode: 0o755 });
    writeFileSync(raw("srv/d\xe9/caf\xe9"), "x\n", { mode: 0o644 });
    writeFileSync(raw("srv/\xc3\xa9"), "y\n", { mode: 0o644 });
    symlinkSync(latin1("d\xe9/caf\xe9"), raw("srv/l\xff"));
  });

  it("are worked on by recurse", async () => {
    const call = file({ path: "/srv", state: "directory", recurse: true, mode: "u=rwX,go=" });
    expect((await run(call)).state).toBe("changed");
    expect([mode("srv/d\xe9"), mode("srv/d\xe9/caf\xe9"), mode("srv/\xc3\xa9")]).toEqual([
      "700",
      "600",
      "600",
    ]);
    expect((await run(call)).state).toBe("unchanged");
  });

  it("are copied with a directory, and removed with it", async () => {
    const call = copy({ src: "/srv", dest: "/copy", remote_src: true });
    expect((await run(call)).state).toBe("changed");
    expect(readFileSync(raw("copy/srv/d\xe9/caf\xe9"), "utf8")).toBe("x\n");
    expect(readlinkSync(raw("copy/srv/l\xff"), { encoding: "buffer" })).toEqual(latin1("d\xe9/caf\xe9"));
    expect((await run(call)).state).toBe("unchanged");
    expect((await run(file({ path: "/copy", state: "absent" }))).state).toBe("changed");
    expect(existsSync(at("copy"))).toBe(false);
  });

  it("can be removed themselves, directories too", async () => {
    const { system } = sandbox;
    for (const name of await system.list("/srv")) await system.remove(`/srv/${name}`);
    expect(readdirSync(at("srv"))).toEqual([]);
  });

  it("are unpacked with a mode", async () => {
    mkdirSync(join(sandbox.role, "files"));
    execFileSync("tar", ["-C", at("srv"), "-cf", join(sandbox.role, "files/t.tar"), "."]);
    mkdirSync(at("to"));
    const call = unarchive({ src: "t.tar", dest: "/to", mode: "u=rwX,go=" });
    expect((await run(call)).state).toBe("changed");
    expect(mode("to/d\xe9/caf\xe9")).toBe("600");
    expect((await run(call)).state).toBe("unchanged");
  });

  it("are refused among a role's files, which are not sent then", async () => {
    mkdirSync(join(sandbox.role, "files/tree"), { recursive: true });
    writeFileSync(Buffer.concat([Buffer.from(join(sandbox.role, "files/tree/")), latin1("caf\xe9")]), "");
    await expect(run(copy({ src: "tree", dest: "/to" }))).rejects.toThrow("has a name that is not UTF-8");
  });
});
