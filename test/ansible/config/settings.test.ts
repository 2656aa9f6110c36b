import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readAnsibleSettings } from "../../../src/ansible/config/settings.ts";

/** A home with a project in it, and the settings read there. */
function place(files: Readonly<Record<string, string>>) {
  const home = mkdtempSync(join(tmpdir(), "volley-config-"));
  onTestFinished(() => rmSync(home, { recursive: true }));
  const cwd = join(home, "project");
  mkdirSync(join(cwd, "sub"), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(home, name), text);
  return {
    home,
    cwd,
    read: (env: Readonly<Record<string, string>> = {}) =>
      readAnsibleSettings({ cwd, env: { HOME: home, ...env }, systemFile: join(home, "system.cfg") }),
  };
}

const failureOf = (read: () => unknown): string => {
  try {
    read();
  } catch (thrown) {
    return (thrown as Error).message;
  }
  return "it did not fail";
};

test("nothing set: nothing said", () => {
  expect(place({}).read()).toEqual({ notes: [] });
});

test("values of every type, with their places, paths from the file's directory", () => {
  const { home, cwd, read } = place({
    "project/ansible.cfg": `# a comment
[defaults]
inventory = hosts.ini,inv2 ; and a comment
roles_path = roles:~/x:{{CWD}}/y:$HOME/z
Forks=7
host_key_checking: no
remote_user = "ann"
vault_identity_list = dev@dev.txt, prod@prompt
jinja2_extensions = jinja2.ext.do
gather_subset = a
  ,b
become_password_file = None
[privilege_escalation]
become=yes
[diff]
always = yes
`,
  });
  const file = join(cwd, "ansible.cfg");
  const at = (value: unknown, line: number) => ({ value, from: `${file}:${line}` });
  expect(read()).toEqual({
    file,
    notes: [],
    inventory: at([join(cwd, "hosts.ini"), join(cwd, "inv2")], 3),
    rolesPath: at([join(cwd, "roles"), join(home, "x"), join(cwd, "y"), join(home, "z")], 4),
    forks: at(7, 5),
    hostKeyChecking: at(false, 6),
    remoteUser: at("ann", 7),
    vaultIdentityList: at(["dev@dev.txt", "prod@prompt"], 8),
    jinja2Extensions: at(["jinja2.ext.do"], 9),
    gatherSubset: at(["a", "b"], 10),
    become: at(true, 14),
    diffAlways: at(true, 16),
  });
});

test("the environment wins, an empty variable counts for nothing, and a list of hosts is one source", () => {
  const { cwd, read } = place({ "project/ansible.cfg": "[defaults]\nforks = 7\ninventory = a\n" });
  const settings = read({
    ANSIBLE_FORKS: "",
    ANSIBLE_INVENTORY: "web1,web2,",
    ANSIBLE_ROLES_PATH: "rel:/abs",
    ANSIBLE_HOST_KEY_CHECKING: "False",
  });
  expect(settings).toMatchObject({
    forks: { value: 7 },
    inventory: { value: ["web1,web2,"], from: "ANSIBLE_INVENTORY" },
    rolesPath: { value: [join(cwd, "rel"), "/abs"] },
    hostKeyChecking: { value: false, from: "ANSIBLE_HOST_KEY_CHECKING" },
  });
  expect(Object.isFrozen(settings)).toBe(true);
});

test("the file is the one that ANSIBLE_CONFIG names, the project's, the user's or the system's", () => {
  const forks = (many: number): string => `[defaults]\nforks = ${many}\n`;
  const { cwd, home, read } = place({
    "named.cfg": forks(1),
    "project/sub/ansible.cfg": forks(2),
    "project/ansible.cfg": forks(3),
    ".ansible.cfg": forks(4),
    "system.cfg": forks(5),
  });
  const of = (env: Readonly<Record<string, string>> = {}): number | undefined => read(env).forks?.value;
  expect(of({ ANSIBLE_CONFIG: "../named.cfg" })).toBe(1);
  expect(of({ ANSIBLE_CONFIG: "sub" })).toBe(2);
  expect(of({ ANSIBLE_CONFIG: "/nowhere" })).toBe(3);
  expect(of()).toBe(3);
  chmodSync(cwd, 0o777);
  expect(of()).toBe(4);
  expect(read().notes).toEqual([expect.stringContaining("everybody can write to this directory")]);
  rmSync(join(home, ".ansible.cfg"));
  expect(of()).toBe(5);
});

test("what is set and not heeded is named in one line, what only changes the display is not", () => {
  const { cwd, read } = place({
    "project/ansible.cfg":
      "[defaults]\nnocows = 1\nretry_files_enabled = no\nstdout_callback = yaml\nfilter_plugins = f\n[inventory]\nenable_plugins = ini, amazon.aws.aws_ec2\n[ssh_connection]\npipelining = yes\n",
  });
  const file = join(cwd, "ansible.cfg");
  expect(read({ ANSIBLE_NOCOLOR: "1", ANSIBLE_LOG_PATH: "/x", ANSIBLE_MY_OWN: "1" }).notes).toEqual([
    `set for Ansible, but not heeded here: filter_plugins (${file}:5), ANSIBLE_LOG_PATH, enable_plugins (amazon.aws.aws_ec2; ${file}:7)`,
  ]);
});

test("what cannot be read is refused with file and line", () => {
  const of = (text: string) => failureOf(place({ "project/ansible.cfg": text }).read);
  expect(of("forks = 1\n")).toBe("there is no [section] above this line");
  expect(of("[defaults]\nforks = 1\nforks = 2\n")).toBe("[defaults] forks is set twice");
  expect(of("[defaults]\nforks\n")).toBe("a line must be key = value");
  expect(of("[defaults]\nforks = many\n")).toMatch(/:2: ANSIBLE_FORKS must be a whole number, not "many"$/);
  expect(of("[diff]\nalways = perhaps\n")).toMatch(/must be yes or no/);
  expect(of("[defaults]\ngathering = never\n")).toMatch(/must be implicit or explicit or smart/);
  expect(of("[defaults]\nhash_behaviour = merge\n")).toMatch(
    /hash_behaviour = merge .*:2\) is not supported/,
  );
});
