import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { user } from "../../../src/actions/accounts/user.ts";
import type { Diff } from "../../../src/core/result.ts";
import { makeSandbox, pass, type Sandbox, snapshot } from "../harness.ts";

const PASSWD = `root:x:0:0:root:/root:/bin/bash
alice:x:1001:1001:Alice,,,:/home/alice:/bin/bash
svc:x:990:990::/nonexistent:/usr/sbin/nologin
`;
const GROUP = `root:x:0:
sudo:x:27:alice
adm:x:4:alice,svc
crew:x:2000:
alice:x:1001:
svc:x:990:
`;
const HASH = "$6$salt$hash";
const SHADOW = `root:*:19000:0:99999:7:::
alice:${HASH}:19000:1:90:7::20000:
svc:!:19000::::::
`;

let sandbox: Sandbox;

beforeEach(() => {
  sandbox = makeSandbox();
  for (const path of ["etc", "home/alice/.ssh"]) mkdirSync(join(sandbox.root, path), { recursive: true });
  for (const [name, text] of Object.entries({ passwd: PASSWD, group: GROUP, shadow: SHADOW })) {
    writeFileSync(join(sandbox.root, "etc", name), text);
  }
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof user>[0];

async function check(
  params: Params,
): Promise<{ readonly state: string; readonly diff: Diff | undefined; readonly commands: unknown }> {
  const before = snapshot(sandbox.root);
  const { state, change } = await pass(user(params), sandbox.system, sandbox.context({ check: true }));
  expect(snapshot(sandbox.root)).toEqual(before);
  return {
    state,
    diff: change?.diff as Diff | undefined,
    commands: (change as { commands?: unknown } | null)?.commands,
  };
}

describe("user, of an account that is as it should be", () => {
  it.each<[string, Params]>([
    ["its name", { name: "alice" }],
    [
      "every field",
      {
        name: "alice",
        uid: 1001,
        group: "alice",
        comment: "Alice,,,",
        home: "/home/alice",
        shell: "/bin/bash",
      },
    ],
    ["the primary group by id", { name: "alice", group: 1001 }],
    ["all groups", { name: "alice", groups: ["adm", "sudo"] }],
    ["groups with the primary one among them", { name: "alice", groups: "sudo,adm,alice" }],
    ["some groups", { name: "alice", groups: ["adm"], append: true }],
    ["groups by id", { name: "alice", groups: [27], append: true }],
    ["the password", { name: "alice", password: HASH }],
    ["a lock", { name: "svc", password_lock: true, create_home: false }],
    ["a password that is locked", { name: "svc", password: "!", create_home: false }],
    [
      "another password, only for new accounts",
      { name: "alice", password: "$6$other$x", update_password: "on_create" },
    ],
    ["expiry on that day", { name: "alice", expires: 20_000 * 86_400 + 5 }],
    ["no expiry", { name: "svc", expires: -1, create_home: false }],
    ["ageing", { name: "alice", password_expire_min: 1, password_expire_max: 90 }],
    ["that it is a system account", { user: "svc", system: true, createhome: false }],
    ["absence", { name: "nobody-here", state: "absent", remove: true }],
  ])("leaves %s", async (_what, params) => {
    for (const checks of [true, false]) {
      expect((await pass(user(params), sandbox.system, sandbox.context({ check: checks }))).state).toBe(
        "unchanged",
      );
    }
  });

  it("returns it under Ansible's names", async () => {
    const { data } = await pass(user({ name: "alice" }), sandbox.system, sandbox.context());
    expect(data).toEqual({
      ...{ append: false, move_home: false },
      ...{ name: "alice", state: "present", uid: 1001, group: 1001, comment: "Alice,,," },
      ...{ home: "/home/alice", shell: "/bin/bash" },
    });
  });

  it("returns the parameters that Ansible repeats, and no password", async () => {
    const call = user({
      name: "alice",
      groups: [],
      append: true,
      password: "$6$x$y",
      update_password: "on_create",
    });
    const { data } = await pass(call, sandbox.system, sandbox.context());
    expect(data).toMatchObject({ append: true, groups: "", password: "NOT_LOGGING_PASSWORD" });
    const check = await pass(
      user({ name: "alice", shell: "/bin/zsh", password_expire_warn: 9 }),
      sandbox.system,
      sandbox.context({ check: true }),
    );
    // As in Ansible, check mode returns the account as it is.
    expect(check.change?.data).toMatchObject({ name: "alice", shell: "/bin/bash", append: false });
    expect(check.change?.diff).toMatchObject({
      attributes: { shell: ["/bin/bash", "/bin/zsh"], password_aging: [expect.anything(), "--warndays 9"] },
    });
  });

  it("warns of what is hardly meant", async () => {
    const { data } = await pass(
      user({ name: "alice", append: true, password: "plain", update_password: "on_create" }),
      sandbox.system,
      sandbox.context(),
    );
    expect(data?.warnings).toEqual([
      expect.stringContaining("'append' is set, but no 'groups' are specified"),
      expect.stringContaining("The password is not a hash"),
    ]);
    for (const password of ["*", "!", "*************", "$6$x$y", "!$y$j9T$a$b", "$2b$12$abc"]) {
      const call = user({ name: "alice", password, update_password: "on_create" });
      expect((await pass(call, sandbox.system, sandbox.context())).data).not.toHaveProperty("warnings");
    }
  });

  it("returns the public key", async () => {
    writeFileSync(join(sandbox.root, "home/alice/.ssh/id_ed25519"), "private");
    writeFileSync(join(sandbox.root, "home/alice/.ssh/id_ed25519.pub"), "ssh-ed25519 AAAA\n");
    const call = user({ name: "alice", generate_ssh_key: true, ssh_key_type: "ed25519" });
    const { state, data } = await pass(call, sandbox.system, sandbox.context());
    expect(state).toBe("unchanged");
    expect(data).toMatchObject({
      ssh_key_file: "/home/alice/.ssh/id_ed25519",
      ssh_public_key: "ssh-ed25519 AAAA",
    });
  });

  it("does not look at passwords it was not asked about", async () => {
    rmSync(join(sandbox.root, "etc/shadow"));
    mkdirSync(join(sandbox.root, "etc/shadow"));
    await expect(check({ name: "alice", password: HASH })).rejects.toThrow(
      /cannot read .*shadow: it is a directory/,
    );
    expect((await check({ name: "alice", shell: "/bin/bash" })).state).toBe("unchanged");
  });
});

describe("user, of an account that differs", () => {
  it.each<[string, Params, Diff["attributes"]]>([
    ["the shell", { name: "alice", shell: "/bin/sh" }, { shell: ["/bin/bash", "/bin/sh"] }],
    ["ids", { name: "alice", uid: 7, group: "crew" }, { uid: ["1001", "7"], group: ["alice", "crew"] }],
    ["groups to leave", { name: "alice", groups: "adm" }, { groups: ["adm,sudo", "adm"] }],
    ["all groups to leave", { name: "alice", groups: [] }, { groups: ["adm,sudo", ""] }],
    [
      "groups to join",
      { name: "alice", groups: ["crew"], append: true },
      { groups: ["adm,sudo", "adm,crew,sudo"] },
    ],
    ["the comment", { name: "alice", comment: "" }, { comment: ["Alice,,,", ""] }],
    ["a lock", { name: "alice", password_lock: true }, { password_lock: ["false", "true"] }],
    [
      "no lock",
      { name: "svc", password_lock: false, create_home: false },
      { password_lock: ["true", "false"] },
    ],
    ["expiry", { name: "alice", expires: -1 }, { expires: ["2024-10-04", ""] }],
    ["a home directory that is missing", { name: "svc" }, { "home directory": ["absent", "/nonexistent"] }],
    [
      "a key",
      { name: "alice", generate_ssh_key: true },
      { "ssh key": ["absent", "/home/alice/.ssh/id_rsa"] },
    ],
  ])("changes %s", async (_what, params, attributes) => {
    const { state, diff } = await check(params);
    expect(state).toBe("changed");
    expect(diff).toEqual({ path: `user ${params.name}`, attributes });
  });

  it("keeps a hash out of the diff and off the command line", async () => {
    for (const name of ["alice", "newcomer"]) {
      const { diff, commands } = await check({ name, password: "$6$new$secret", create_home: false });
      expect(JSON.stringify(diff)).not.toContain("secret");
      expect(commands).toContainEqual({
        argv: ["chpasswd", "--encrypted"],
        input: `${name}:$6$new$secret\n`,
      });
    }
  });

  it("is removed", async () => {
    const { diff, commands } = await check({ name: "alice", state: "absent", remove: true, force: true });
    expect(diff).toMatchObject({ path: "user alice", after: null });
    expect(commands).toEqual([{ argv: ["userdel", "--force", "--remove", "alice"] }]);
  });
});

describe("user, of an account that is not there", () => {
  it("shows what it would be", async () => {
    const { diff, commands } = await check({
      name: "bob",
      uid: 5,
      groups: ["sudo", "crew"],
      shell: "/bin/sh",
      system: true,
      create_home: false,
    });
    expect(diff).toEqual({
      path: "user bob",
      before: null,
      after: "uid 5\ngroups sudo,crew\nshell /bin/sh\n",
    });
    expect(commands).toEqual([
      {
        argv: [
          "useradd",
          "--system",
          "--uid",
          "5",
          "--groups",
          "sudo,crew",
          "--shell",
          "/bin/sh",
          "--no-create-home",
          "bob",
        ],
      },
    ]);
  });

  it("does not make a group of its own where there is one", async () => {
    const { commands } = await check({ name: "crew" });
    expect(commands).toEqual([{ argv: ["useradd", "--no-user-group", "--create-home", "crew"] }]);
  });

  it("needs its groups, which in check mode an earlier task would make", async () => {
    const call = user({ name: "bob", groups: ["new"] });
    expect((await check({ name: "bob", groups: ["new"] })).state).toBe("changed");
    await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow(
      /^Group new does not exist; make it first/,
    );
  });
});

describe("user's parameters", () => {
  it.each<[unknown, RegExp]>([
    [{}, /missing required arguments: name/],
    [{ name: "a", password: "$6$x\nroot:y" }, /must be one line without a colon/],
    [{ name: "a", local: true, umask: "077" }, /'umask' can not be used with 'local'/],
    [{ name: "a", user: "a" }, /give one of them/],
    [{ name: "a", shel: "/bin/sh" }, /unknown parameter "shel"; did you mean "shell"/],
    [{ name: "a", state: "gone" }, /"state"/],
  ])("refuses %j", (params, message) => expect(() => user(params as Params)).toThrow(message));
});
