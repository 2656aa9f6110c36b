import { Command } from "commander";
import { expect, test } from "vitest";
import {
  addRunOptions,
  inventoriesOf,
  type RunFlags,
  runBecomeOptions,
  settleFlags,
} from "../../src/cli/run/options.ts";
import { VolleyError } from "../../src/core/errors.ts";

/** Parse a command line of ansible-playbook; gives the playbooks and the flags. */
function parse(...argv: readonly string[]): {
  readonly playbooks: readonly string[];
  readonly flags: RunFlags;
} {
  let playbooks: readonly string[] = [];
  const command = addRunOptions(new Command("run").argument("<playbook...>"))
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .action((some: readonly string[]) => {
      playbooks = some;
    });
  command.parse(argv, { from: "user" });
  const {
    output: _output,
    transport: _transport,
    via: _via,
    runtime: _runtime,
    ...flags
  } = command.opts<RunFlags>();
  return { playbooks, flags: flags as RunFlags };
}

test("options stand before and behind several playbooks, short ones together with their values", () => {
  const { playbooks, flags } = parse(
    ..."-i a -e x=1 one.yml -CDvvv two.yml -fi5 -e @v.yml".replace("-fi5", "-f5").split(" "),
  );
  expect(playbooks).toEqual(["one.yml", "two.yml"]);
  expect(flags).toEqual({
    inventory: ["a"],
    extraVars: ["x=1", "@v.yml"],
    check: true,
    diff: true,
    verbose: 3,
    forks: 5,
  });
});

test.each([
  ["--inventory-file a", { inventory: ["a"] }],
  ["--inventory a --inventory b,", { inventory: ["a", "b,"] }],
  ["--limit web:!db", { limit: "web:!db" }],
  ["--extra-vars a=b=c", { extraVars: ["a=b=c"] }],
  ["-t a,b --tags c --skip-tags d", { tags: ["a,b", "c"], skipTags: ["d"] }],
  [
    "-b --become-user app --become-method su -K",
    { become: true, becomeUser: "app", becomeMethod: "su", askBecomePass: true },
  ],
  ["--become-pass-file f", { becomePasswordFile: "f" }],
  ["--become-password-file f", { becomePasswordFile: "f" }],
  ["--conn-pass-file f", { passwordFile: "f" }],
  ["--connection-password-file f", { passwordFile: "f" }],
  ["--password-file f", { passwordFile: "f" }],
  ["-u ann --key-file k", { user: "ann", privateKey: "k" }],
  ["--private-key k -k", { privateKey: "k", askPass: true }],
  ["-c smart", { connection: "smart" }],
  ["-c docker", { connection: "docker" }],
  ["-c local -T 5", { connection: "local", connectTimeout: 5 }],
  ["--timeout 5", { connectTimeout: 5 }],
  ["--connect-timeout 5", { connectTimeout: 5 }],
  ["--ssh-common-args=-Cv --ssh-extra-args=-4", { sshCommonArgs: "-Cv", sshExtraArgs: "-4" }],
  ["--sftp-extra-args=-l5 --scp-extra-args=-l5", { sftpExtraArgs: "-l5", scpExtraArgs: "-l5" }],
  ["--vault-id a@prompt --vault-pass-file f", { vaultId: ["a@prompt"], vaultPasswordFile: ["f"] }],
  ["--vault-password-file f -J", { vaultPasswordFile: ["f"], askVaultPass: true }],
  ["--ask-vault-password", { askVaultPass: true }],
  ["--ask-vault-pass", { askVaultPass: true }],
  ["--start-at-task x --step --force-handlers", { startAtTask: "x", step: true, forceHandlers: true }],
  [
    "--list-hosts --list-tasks --list-tags --syntax-check",
    { listHosts: true, listTasks: true, listTags: true, syntaxCheck: true },
  ],
  ["--flush-cache -M lib --module-path b", { flushCache: true, modulePath: ["lib", "b"] }],
])("%s", (line, expected) => {
  expect(parse("p.yml", ...line.split(" ")).flags).toEqual(expected);
});

test.each(["-f 0", "-T x", "--become-method runas", "-t ,", "--nonsense"])("%s is refused", (line) => {
  expect(() => parse("p.yml", ...line.split(" "))).toThrow();
});

test.each([
  ["--web p.yml", { web: true }, ["p.yml"]],
  ["p.yml --web", { web: true }, ["p.yml"]],
  ["--web=8080 p.yml", { web: 8080 }, ["p.yml"]],
  ["--web 8080 p.yml", { web: 8080 }, ["p.yml"]],
  ["a.yml --web 0 b.yml -C", { web: 0, check: true }, ["a.yml", "b.yml"]],
  ["a.yml --web -C b.yml", { web: true, check: true }, ["a.yml", "b.yml"]],
  ["a.yml --web b.yml c.yml", { web: true }, ["a.yml", "b.yml", "c.yml"]],
  ["--web -- p.yml", { web: true }, ["p.yml"]],
  ["-e --web p.yml -e --web", { extraVars: ["--web", "--web"] }, ["p.yml"]],
  ["-Cl --web p.yml", { check: true, limit: "--web" }, ["p.yml"]],
  ["--resume p.yml", { resume: true }, ["p.yml"]],
  ["p.yml --resume", { resume: true }, ["p.yml"]],
  ["--resume --web p.yml", { resume: true, web: true }, ["p.yml"]],
  ["--resume 20260101-000000-aaaaa p.yml", { resume: "20260101-000000-aaaaa" }, ["p.yml"]],
  ["-- --web p.yml", {}, ["--web", "p.yml"]],
])("a word that cannot be the optional value of an option is a playbook: %s", (line, flags, playbooks) => {
  expect(parse(...line.split(" "))).toEqual({ flags, playbooks });
});

test.each(["--web 65536 p.yml", "--web=x p.yml", "--web=80.5 p.yml", "--resume=p.yml p.yml"])(
  "%s is refused",
  (line) => {
    expect(() => parse(...line.split(" "))).toThrow(/must be a port of 0 to 65535|It is a playbook/);
  },
);

const at = (value: unknown): never => ({ value, from: "ansible.cfg:1" }) as never;

test("settings stand in for flags that are not given", () => {
  const settings = {
    notes: [],
    forks: at(9),
    inventory: at(["/i"]),
    remoteUser: at("bob"),
    remotePort: at(2222),
    hostKeyChecking: at(false),
    become: at(true),
    becomeMethod: at("ansible.builtin.su"),
    sshArgs: at("-C"),
    sshCommonArgs: at("-4"),
    vaultPasswordFile: at("/v"),
    vaultIdentityList: at(["a@b"]),
    runTags: at(["t"]),
    verbosity: at(2),
    transport: at("local"),
  };
  expect(settleFlags({} as RunFlags, settings)).toEqual({
    forks: 9,
    inventory: ["/i"],
    user: "bob",
    port: 2222,
    hostKeys: "off",
    become: true,
    becomeMethod: "su",
    sshArguments: { ssh_args: "-C", ssh_common_args: "-4" },
    vaultPasswordFile: ["/v"],
    vaultId: ["a@b"],
    tags: ["t"],
    verbose: 2,
    connection: "local",
  });
  const { flags } = parse(
    ..."p.yml -f3 -u ann -i a -t x -v -c ssh --host-keys strict --ssh-common-args=-6".split(" "),
  );
  expect(settleFlags(flags, settings)).toMatchObject({
    forks: 3,
    user: "ann",
    inventory: ["a"],
    tags: ["x"],
    verbose: 1,
    connection: "ssh",
    hostKeys: "strict",
    sshArguments: { ssh_args: "-C", ssh_common_args: "-6" },
  });
  expect(settleFlags({} as RunFlags, undefined)).toEqual({ forks: 50, verbose: 0, sshArguments: {} });
});

test("a file of a password keeps settings from asking for it, and what Volley lacks is refused", () => {
  const settings = { notes: [], askPass: at(true), becomeAskPass: at(true) };
  const asked = { askPass: true, askBecomePass: true };
  expect(settleFlags({} as RunFlags, settings)).toMatchObject(asked);
  const { flags } = parse(..."p.yml --conn-pass-file f --become-pass-file f".split(" "));
  expect(settleFlags(flags, settings)).not.toMatchObject({ askPass: true });
  expect(settleFlags(flags, settings)).not.toMatchObject({ askBecomePass: true });
  expect(settleFlags({} as RunFlags, { notes: [], transport: at("docker") })).toMatchObject({
    connection: "docker",
  });
  expect(() => settleFlags({} as RunFlags, { notes: [], becomeMethod: at("runas") })).toThrow(/not runas/);
});

test("--become-user alone makes nobody become another user", async () => {
  const optionsOf = (...argv: readonly string[]) =>
    runBecomeOptions(settleFlags(parse("p.yml", ...argv).flags, undefined), undefined);
  expect(await optionsOf("--become-user", "app")).toEqual({ becomeUser: "app" });
  expect(await optionsOf("-b")).toEqual({ become: true });
  expect(await optionsOf("-b", "--become-user", "app")).toEqual({ become: true, becomeUser: "app" });
});

test("a playbook of Ansible's does without an inventory", () => {
  const missing = (): never => {
    throw new VolleyError("INVENTORY_MISSING", "there is none");
  };
  expect(() => inventoriesOf({}, missing, false)).toThrow("there is none");
  expect(inventoriesOf({}, missing, true).length).toBeLessThanOrEqual(1);
  expect(inventoriesOf({}, () => ["a"], true)).toEqual(["a"]);
});
