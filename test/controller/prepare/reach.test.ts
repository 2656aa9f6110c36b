import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { makeJob } from "../../../src/controller/prepare/plan.ts";
import { hostBecome, openReach } from "../../../src/controller/prepare/reach.ts";
import type { Host } from "../../../src/core/inventory.ts";
import { definePlay } from "../../../src/core/playbook.ts";
import type { PlayProgram } from "../../../src/core/program.ts";
import { bareHost } from "../../../src/inventory/connection.ts";

type Said = boolean | string | undefined;

/** A host of this inventory with a play for each of these. */
function becomeOf(
  plays: readonly Said[],
  {
    become,
    vars = {},
    program,
  }: {
    become?: string | null;
    vars?: Readonly<Record<string, unknown>>;
    program?: PlayProgram;
  } = {},
  options: Parameters<typeof hostBecome>[3] = {},
): ReturnType<typeof hostBecome> {
  const host: Host = {
    name: "web1",
    connection: {
      address: "web1",
      port: undefined,
      user: undefined,
      privateKeyFile: undefined,
      connection: "ssh",
      become,
      becomeMethod: undefined,
    },
    vars,
    sources: {},
    groups: [],
  };
  const all = plays.map((said, index) => ({
    index: index * 2,
    play: {
      ...definePlay({ hosts: "all", ...(said === undefined ? {} : { become: said }) }),
      ...(program === undefined ? {} : { program }),
    },
    hosts: [host],
  }));
  return hostBecome(host, "ops", all, options);
}

test.each<[what: string, plays: readonly Said[], start: string | undefined, users: Record<number, string>]>([
  ["nobody is wanted: whoever is logged in", [undefined, false], undefined, {}],
  ["all want the same: that one", ["app", "app"], "app", {}],
  ["all want who is logged in, by name", ["ops", false], undefined, {}],
  ["one wants root: root, who can be all others", [false, true, "app"], "root", { 0: "ops", 4: "app" }],
  ["none wants root: who is logged in", ["app", "db"], undefined, { 0: "app", 2: "db" }],
])("%s", (_what, plays, start, users) => {
  const { start: started, job } = becomeOf(plays);
  expect(started?.user).toBe(start);
  expect(job).toMatchObject({ login: "ops", users });
});

test("plays of Ansible's start as root or as who is logged in: others may have no home", () => {
  const program: PlayProgram = { roles: [], estimate: 0, run: async () => undefined };
  expect(becomeOf(["nobody"], { program })).toMatchObject({ start: null, job: { users: { 0: "nobody" } } });
  expect(becomeOf([true], { program }).start?.user).toBe("root");
});

test("the play says it first, then the inventory, then the caller", () => {
  expect(becomeOf(["app"], { become: "db" }, { become: true }).start?.user).toBe("app");
  expect(becomeOf([undefined], { become: "db" }, { become: true }).start?.user).toBe("db");
  expect(becomeOf([undefined], {}, { become: true }).start?.user).toBe("root");
  // `ansible_become: false` says that nobody is wanted.
  expect(becomeOf([undefined], { become: null }, { become: true }).start).toBeNull();
});

test("the way, from the inventory under its Ansible names", () => {
  const vars = {
    ansible_become_method: "community.general.doas",
    ansible_become_exe: "/opt/doas",
    ansible_become_flags: " -C  /etc/x ",
    ansible_become_pass: "old name",
    ansible_become_password: "{{ secret }}",
    secret: 1234567,
  };
  expect(becomeOf([true], { vars }, { becomeMethod: "su", becomePassword: "caller's" })).toMatchObject({
    start: { user: "root", method: "doas", exe: "/opt/doas", flags: ["-C", "/etc/x"], password: "1234567" },
    secrets: ["1234567"],
  });
});

test("the password goes to the host only where its login user becomes others there", () => {
  const options = { becomePassword: "open sesame" };
  expect(becomeOf([false], {}, options).job.way).toEqual({ method: "sudo", password: "open sesame" });
  expect(becomeOf([true], {}, options).job.way).toEqual({ method: "sudo" });
  expect(becomeOf(["app"], {}, options).job.way).toEqual({ method: "sudo" });
});

test("what cannot be is refused", () => {
  expect(() => becomeOf([true], { vars: { ansible_become_method: "runas" } })).toThrow("sudo, doas or su");
  expect(() => becomeOf([true], {}, { becomePassword: "two\nlines" })).toThrow("line break");
});

test("the vars that hold the password go nowhere, neither as vars nor as texts to mask", () => {
  const host: Host = {
    name: "web1",
    connection: {
      address: "web1",
      port: undefined,
      user: undefined,
      privateKeyFile: undefined,
      connection: "ssh",
      become: undefined,
      becomeMethod: undefined,
    },
    vars: { ansible_become_password: "open sesame", ansible_become_pass: "open sesame", kept: "too" },
    sources: {},
    groups: [],
    secretTexts: { ansible_become_password: ["open sesame"], other: ["hidden text"] },
  };
  const play = definePlay({ hosts: "all", hostVars: ["ansible_become_pass", "kept"] });
  const hosts = new Map([
    ["web1", host],
    ["web2", { ...host, name: "web2" }],
  ]);
  const inventory = { hosts, groups: new Map(), paths: [] };
  const plan = { plays: [{ index: 0, play, hosts: [host] }], hosts: [host], groups: {}, inventory };
  const options = { check: false, diff: false, tags: [], skipTags: [], barriers: true };
  const job = makeJob(host, plan, { options, asksForGroups: true });
  expect(job).toMatchObject({
    vars: { kept: "too" },
    hostVars: { web2: { kept: "too" } },
    secrets: ["hidden text"],
  });
  expect(JSON.stringify(job)).not.toContain("open sesame");
});

/** A host whose inventory says these vars, and this of its connection. */
function hostOf(vars: Readonly<Record<string, unknown>>, connection: Partial<Host["connection"]> = {}): Host {
  const bare = bareHost("web1", "ssh");
  return { ...bare, vars, connection: { ...bare.connection, ...connection } };
}

test("port and arguments of ssh stand in for what the inventory does not say", async () => {
  const options = {
    sshConfig: "none",
    port: 2222,
    sshArguments: {
      ssh_args: "-o Compression=no",
      ssh_common_args: "-o HostKeyAlias=given -o StrictHostKeyChecking=no",
    },
  };
  const reach = openReach(options, false, new AbortController().signal);
  expect(await reach.endpointOf(hostOf({}))).toMatchObject({
    port: 2222,
    ssh: { hostKeyAlias: "given", hostKeyPolicy: "off" },
  });
  const own = hostOf({ ansible_ssh_common_args: "-o HostKeyAlias=own" }, { port: 22 });
  expect(await reach.endpointOf(own)).toMatchObject({
    port: 22,
    ssh: { hostKeyAlias: "own", hostKeyPolicy: "strict" },
  });
});

test("-F in the arguments names another ssh_config for that host", async () => {
  const directory = mkdtempSync(join(tmpdir(), "volley-reach-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "config");
  writeFileSync(file, "Host web1\n  HostName 10.0.0.7\n  User ops\n");
  const reach = openReach({ sshConfig: "none" }, false, new AbortController().signal);
  expect(await reach.endpointOf(hostOf({ ansible_ssh_extra_args: `-F ${file}` }))).toMatchObject({
    address: "10.0.0.7",
    user: "ops",
  });
  expect(await reach.endpointOf(hostOf({}))).toMatchObject({ address: "web1" });
  await expect(reach.endpointOf(hostOf({ ansible_ssh_extra_args: "-F /nowhere" }))).rejects.toThrow(
    "/nowhere",
  );
});

test("the user that become means, its program and its flags, where neither play nor inventory says so", () => {
  const options = { becomeUser: "app", becomeExe: "/opt/sudo", becomeFlags: "-n -E" };
  const { start, job } = becomeOf([true], {}, options);
  expect(start).toEqual({ method: "sudo", user: "app", exe: "/opt/sudo", flags: ["-n", "-E"] });
  expect(job.standard).toBe("app");
  expect(becomeOf([undefined], {}, options).start).toBeNull();
  expect(becomeOf(["db"], {}, options).start?.user).toBe("db");
  expect(becomeOf([undefined], { become: "root" }, options).start?.user).toBe("app");
  const named = { become: "root", vars: { ansible_become_user: "root" } };
  expect(becomeOf([undefined], named, options).start?.user).toBe("root");
});
