import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ssh_config } from "../../../src/actions/access/ssh-config.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

const FILE = "/etc/ssh/ssh_config";
let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const content = (): string => readFileSync(at("etc/ssh/ssh_config"), "utf8");
const start = (text: string): void => writeFileSync(at("etc/ssh/ssh_config"), text);

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc/ssh"), { recursive: true });
});
afterEach(() => sandbox[Symbol.dispose]());

it("adds a host, once, and says so", async () => {
  start("Include x\n");
  writeFileSync(at("key"), "");
  const call = ssh_config({
    ...{ host: "git.example.org", hostname: "10.0.0.1", port: "2222", identity_file: "/key" },
    ...{ identities_only: true, forward_agent: false, other_options: { ServerAliveInterval: "30" } },
  });
  const { first, second } = await checkApplyAgain(sandbox, call);
  expect(content()).toBe(
    "Include x\n\nHost git.example.org\n    hostname 10.0.0.1\n    port 2222\n    identityfile /key\n" +
      "    identitiesonly yes\n    forwardagent no\n    serveraliveinterval 30\n",
  );
  const nothing = { hosts_added: [], hosts_removed: [], hosts_changed: [], hosts_change_diff: [] };
  expect(first.data).toEqual({ ...nothing, hosts_added: ["git.example.org"] });
  expect(second.data).toEqual(nothing);
});

const BLOCKS = `# all
Host a
\tHostName old  
\t# ours
\tUser=me
\tIdentityFile /one
\tIdentityFile /two

# of b
Host a b
    Port 1
Match user x
    Port 2
`;

it("changes options of the host alone", async () => {
  start(BLOCKS);
  const { first } = await checkApplyAgain(
    sandbox,
    ssh_config({ host: "a", hostname: "new", proxyjump: "j" }),
  );
  expect(content()).toBe(
    BLOCKS.replace("\tHostName old  ", "\thostname new").replace("/two\n", "/two\n\tproxyjump j\n"),
  );
  const old = { hostname: "old", user: "me", identityfile: ["/one", "/two"] };
  expect(first.data).toEqual({
    ...{ hosts_added: [], hosts_removed: [], hosts_changed: ["a"] },
    hosts_change_diff: [{ a: { old, new: { ...old, hostname: "new", proxyjump: "j" } } }],
  });
  await checkApplyAgain(sandbox, ssh_config({ host: "a  b", port: "3" }));
  expect(content()).toContain("Host a b\n    port 3\nMatch");
});

it("knows options as they are written, and removes those that are to be empty", async () => {
  start(BLOCKS);
  const same = ssh_config({ host: "a", remote_user: "me", hostname: "old" });
  expect((await pass(same, sandbox.system, sandbox.context())).state).toBe("unchanged");
  await checkApplyAgain(sandbox, ssh_config({ host: "a", remote_user: "" }));
  expect(content()).toBe(BLOCKS.replace("\tUser=me\n", ""));
});

it("removes a host", async () => {
  start(BLOCKS);
  const { first } = await checkApplyAgain(sandbox, ssh_config({ host: "a", state: "absent" }));
  expect(content()).toBe("# all\n\n# of b\nHost a b\n    Port 1\nMatch user x\n    Port 2\n");
  expect(first.data).toMatchObject({ hosts_removed: ["a"] });
});

it("edits the file of a user, and gives it to the user", async () => {
  mkdirSync(at("home/me/.ssh"), { recursive: true });
  const [uid, gid] = [process.getuid!(), process.getgid!()];
  writeFileSync(at("etc/passwd"), `me:x:${uid}:${gid}::/home/me:/bin/sh\n`);
  await checkApplyAgain(sandbox, ssh_config({ user: "me", host: "a", port: "22" }));
  expect(readFileSync(at("home/me/.ssh/config"), "utf8")).toBe("Host a\n    port 22\n");
  expect(statSync(at("home/me/.ssh/config"))).toMatchObject({ uid, gid });
  expect(statSync(at("home/me/.ssh/config")).mode & 0o777).toBe(0o600);
  const other = ssh_config({ user: "volley-none", host: "a", port: "22" });
  await expect(pass(other, sandbox.system, sandbox.context())).rejects.toThrow('no user "volley-none"');
});

it("fails without the identity file, and names wrong parameters", async () => {
  const call = ssh_config({ host: "a", identity_file: "/no", ssh_config_file: FILE });
  await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow(
    "IdentityFile /no does not exist",
  );
  expect(() => ssh_config({ host: "a", user: "u", ssh_config_file: "/x" })).toThrow("mutually exclusive");
  expect(() => ssh_config({ host: "a", proxycommand: "x", proxyjump: "y" })).toThrow("mutually exclusive");
  expect(() => ssh_config({ host: "a", hostname: "x\nHost *" })).toThrow("one line");
  expect(() => ssh_config({ host: "a", other_options: { "X\nY": "1" } })).toThrow("name of an option");
});
