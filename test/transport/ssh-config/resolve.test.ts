import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createCommands } from "../../../src/transport/ssh-config/evaluate.ts";
import { parseSshArguments } from "../../../src/transport/ssh-config/parse.ts";
import { readSshConfig } from "../../../src/transport/ssh-config/read.ts";
import {
  createResolver,
  type HostWish,
  type RunSettings,
} from "../../../src/transport/ssh-config/resolve.ts";
import type { Endpoint } from "../../../src/transport/transport.ts";
import { scratchHome } from "../lib/scratch.ts";

const scratch = scratchHome();
const hasSsh = existsSync("/usr/bin/ssh");

interface Asked {
  readonly config: string;
  readonly name?: string;
  readonly args?: string;
  readonly wish?: Partial<HostWish>;
  readonly run?: Partial<RunSettings>;
}

async function resolve(asked: Asked): Promise<{ readonly endpoint: Endpoint }> {
  const { config, name = "web1", args = "", wish = {}, run = {} } = asked;
  const file = scratch.write("config", config);
  const { options, words } = parseSshArguments(args, "args");
  const resolver = createResolver({
    files: readSshConfig(file),
    runCommand: createCommands(new AbortController().signal),
    configFile: file,
    user: undefined,
    privateKeyFile: undefined,
    password: undefined,
    hostKeyPolicy: undefined,
    defaultHostKeyPolicy: "strict",
    knownHostsFiles: undefined,
    connectTimeoutMs: undefined,
    persistMs: undefined,
    forwardAgent: undefined,
    ...run,
  });
  const endpoint = await resolver.resolve({
    host: name,
    name,
    port: undefined,
    user: undefined,
    privateKeyFile: undefined,
    password: undefined,
    written: options,
    words,
    ...wish,
  });
  return { endpoint };
}

/** An existing key file; missing ones are left out. */
function key(name: string): string {
  const path = join(homedir(), ".ssh", name);
  mkdirSync(join(homedir(), ".ssh"), { recursive: true, mode: 0o700 });
  writeFileSync(path, "");
  return path;
}

test("the first value wins, patterns and negation are understood", async () => {
  const config = `
Host web* !web9
  Port 2201
  User deploy
Host web1
  Port 2202
  HostName 10.0.0.%%.%h
Host *
  User nobody
  ServerAliveInterval 7
  ServerAliveCountMax 9
  ConnectTimeout 1m30s
`;
  expect((await resolve({ config })).endpoint).toMatchObject({
    address: "10.0.0.%.web1",
    port: 2201,
    user: "deploy",
    ssh: { keepAliveMs: 7_000, keepAliveCountMax: 9, connectTimeoutMs: 90_000 },
  });
  expect((await resolve({ config, name: "web9" })).endpoint).toMatchObject({
    address: "web9",
    port: 22,
    user: "nobody",
  });
});

test("a connection is kept as the command line says, else the inventory, else ControlPersist with ControlMaster", async () => {
  const config = "Host *\n ControlMaster auto\n ControlPersist 1m\n";
  const persistMs = async (given: Partial<Parameters<typeof resolve>[0]>): Promise<number | undefined> =>
    (await resolve({ config, ...given })).endpoint.ssh!.persistMs;
  expect(await persistMs({})).toBe(60_000);
  expect(await persistMs({ config: "ControlPersist 1m\n" })).toBeUndefined();
  expect(await persistMs({ wish: { persistMs: 2_000 } })).toBe(2_000);
  expect(await persistMs({ wish: { persistMs: 0 } })).toBeUndefined();
  expect(await persistMs({ wish: { persistMs: 0 }, run: { persistMs: 3_000 } })).toBe(3_000);
  expect(await persistMs({ wish: { persistMs: 2_000 }, run: { persistMs: 0 } })).toBeUndefined();
});

test("the inventory and the command line win over it", async () => {
  const config =
    "Host *\n User config\n Port 1\n HostName elsewhere\n StrictHostKeyChecking no\n ConnectTimeout 3\n";
  const wish = { user: "inventory", port: 2022 };
  const run = {
    user: "command-line",
    hostKeyPolicy: "strict",
    connectTimeoutMs: 1_000,
    knownHostsFiles: ["/k"],
  } as const;
  expect((await resolve({ config, wish, run })).endpoint).toMatchObject({
    user: "inventory",
    port: 2022,
    address: "elsewhere",
    ssh: { hostKeyPolicy: "strict", connectTimeoutMs: 1_000, knownHostsFiles: ["/k"] },
  });
  expect((await resolve({ config, run })).endpoint.user).toBe("command-line");
  expect((await resolve({ config: "", name: "x" })).endpoint.user).toBe(userInfo().username);
});

test.each([
  ["Match all\n Port 7", 7],
  ["Match host 10.0.*\n Port 7\nHost web1\n HostName 10.0.0.1", 22],
  ["Host web1\n HostName 10.0.0.1\nMatch host 10.0.*\n Port 7", 7],
  ["Match originalhost web?\n Port 7", 7],
  ["Match !originalhost web?\n Port 7", 22],
  ["Match originalhost web?,!web1\n Port 7", 22],
  ["Match user deploy\n Port 7\nHost *\n User deploy", 22],
  ["Host *\n User deploy\nMatch user deploy\n Port 7", 7],
  [`Match localuser ${userInfo().username} originalhost web1\n Port 7`, 7],
  ["Match localuser nobody-of-this-name\n Port 7", 22],
  ["Match host 10.0.0.1 final\n Port 7\nHost web1\n HostName 10.0.0.1", 7],
  ["Match canonical\n Port 7", 22],
])("%j: port %i", async (config, port) => {
  expect((await resolve({ config })).endpoint.port).toBe(port);
});

test("keys add up, with tokens, and those that are not there are left out", async () => {
  const [one, two] = [key("one"), key("id_web1_deploy")];
  const config =
    "Host web1\n IdentityFile ~/.ssh/one\n IdentityFile ~/.ssh/none\n User deploy\nHost *\n IdentityFile %d/.ssh/id_%n_%r\n IdentitiesOnly yes\n";
  expect((await resolve({ config })).endpoint.ssh).toMatchObject({
    identityFiles: [one, two],
    identitiesOnly: true,
  });
});

test("Include: relative to ~/.ssh, with globs, inside a Host section, each ending with its file", async () => {
  const directory = join(homedir(), ".ssh", "conf.d");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "10-a.conf"), "Port 1001\nHost web1\n  User first\n");
  writeFileSync(join(directory, "20-b.conf"), "Host *\n  User second\n Port 1002\n");
  writeFileSync(join(directory, ".hidden.conf"), "User hidden\n");
  expect((await resolve({ config: "Include conf.d/*.conf none/*\n" })).endpoint).toMatchObject({
    port: 1001,
    user: "first",
  });
  const inside = "Host web2\n  Include conf.d/*.conf\n  IdentitiesOnly yes\n";
  expect((await resolve({ config: inside })).endpoint).toMatchObject({
    port: 22,
    ssh: { identitiesOnly: false },
  });
  expect((await resolve({ config: inside, name: "web2" })).endpoint).toMatchObject({
    port: 1001,
    user: "second",
    ssh: { identitiesOnly: true },
  });
});

test("files that include each other without end are refused", async () => {
  mkdirSync(join(homedir(), ".ssh"), { recursive: true });
  writeFileSync(join(homedir(), ".ssh", "loop"), "Include loop\n");
  await expect(resolve({ config: "Include loop" })).rejects.toMatchObject({
    code: "USAGE",
    message: expect.stringContaining("include each other"),
  });
});

test("known hosts and their policy", async () => {
  const config =
    'Host web1\n UserKnownHostsFile ~/.ssh/known1 "/tmp/known two"\n GlobalKnownHostsFile none\n StrictHostKeyChecking accept-new\n HostKeyAlias alias\n HashKnownHosts yes\n HostKeyAlgorithms ssh-ed25519,rsa-sha2-512\n';
  expect((await resolve({ config })).endpoint.ssh).toMatchObject({
    knownHostsFiles: [join(homedir(), ".ssh/known1"), "/tmp/known two"],
    hostKeyPolicy: "accept-new",
    hostKeyAlias: "alias",
    hashKnownHosts: true,
    algorithms: { serverHostKey: ["ssh-ed25519", "rsa-sha2-512"] },
    newKeysFile: join(homedir(), ".ssh/known1"),
  });
  expect((await resolve({ config: "" })).endpoint.ssh?.knownHostsFiles).toEqual([
    join(homedir(), ".ssh/known_hosts"),
    join(homedir(), ".ssh/known_hosts2"),
    "/etc/ssh/ssh_known_hosts",
    "/etc/ssh/ssh_known_hosts2",
  ]);
});

test.each([
  ["yes", "strict"],
  ["ask", "strict"],
  ["no", "off"],
  ["off", "off"],
  ["accept-new", "accept-new"],
])("StrictHostKeyChecking %s is %s where nobody can be asked", async (word, policy) => {
  expect((await resolve({ config: `StrictHostKeyChecking ${word}` })).endpoint.ssh?.hostKeyPolicy).toBe(
    policy,
  );
});

test("an agent of its own, from the environment, or none", async () => {
  process.env.SSH_AUTH_SOCK = "/run/agent";
  try {
    const agentOf = async (line: string): Promise<string | undefined> =>
      (await resolve({ config: line })).endpoint.ssh?.agent;
    expect(await agentOf("")).toBe("/run/agent");
    expect(await agentOf("IdentityAgent none")).toBeUndefined();
    expect(await agentOf("IdentityAgent SSH_AUTH_SOCK")).toBe("/run/agent");
    expect(await agentOf("IdentityAgent $SSH_AUTH_SOCK")).toBe("/run/agent");
    expect(await agentOf('IdentityAgent "~/My Agents/%r@%h.sock"')).toBe(
      `${homedir()}/My Agents/${userInfo().username}@web1.sock`,
    );
  } finally {
    delete process.env.SSH_AUTH_SOCK;
  }
});

function chain({ ssh }: Endpoint): readonly string[] {
  return ssh!.jumps.map(({ user, address, port }) => `${user}@${address}:${port}`);
}

test("ProxyJump: several in a row, each with its own configuration", async () => {
  const config =
    "Host gate\n HostName 10.9.9.9\n User guard\n Port 2200\nHost inner\n User inner\nHost web1\n ProxyJump gate,me@inner:23,[fd00::1]:24\n";
  const { endpoint } = await resolve({ config });
  const me = userInfo().username;
  expect(chain(endpoint)).toEqual(["guard@10.9.9.9:2200", "me@inner:23", `${me}@fd00::1:24`]);
  expect(endpoint.ssh!.jumps.map((hop) => chain(hop).length)).toEqual([0, 1, 2]);
});

test("ProxyJump: a host on the way that has one of its own", async () => {
  const config = "Host outer\n User a\nHost inner\n User b\n ProxyJump outer\nHost web1\n ProxyJump inner\n";
  expect(chain((await resolve({ config })).endpoint)).toEqual(["a@outer:22", "b@inner:22"]);
});

test("ProxyJump for everybody does not make a host jump through itself; a circle is refused", async () => {
  const everybody = "Host *\n User u\n ProxyJump gate\n";
  expect(chain((await resolve({ config: everybody })).endpoint)).toEqual(["u@gate:22"]);
  expect(chain((await resolve({ config: everybody, name: "gate" })).endpoint)).toEqual([]);
  const circle = "Host a\n ProxyJump b\nHost b\n ProxyJump a\n";
  await expect(resolve({ config: circle, name: "a" })).rejects.toMatchObject({
    code: "USAGE",
    message: "the hosts to jump through go in a circle: a, b, a",
  });
});

test("ProxyJump none, and whichever of ProxyJump and ProxyCommand comes first", async () => {
  const general = "Host *\n ProxyJump gate\n";
  expect(chain((await resolve({ config: `Host web1\n ProxyJump none\n${general}` })).endpoint)).toEqual([]);
  const command = "Host web1\n ProxyCommand nc %h %p\n";
  const first = await resolve({ config: `${command}${general}` });
  expect(first.endpoint.ssh).toMatchObject({ jumps: [], needsOpenSsh: "ProxyCommand is set" });
  const second = await resolve({ config: `${general}${command}` });
  expect(second.endpoint.ssh?.needsOpenSsh).toBeUndefined();
  expect(chain(second.endpoint)).toHaveLength(1);
});

test("what only ssh itself can do is noticed", async () => {
  const needs = async (config: string, args = ""): Promise<string | undefined> =>
    (await resolve({ config, args })).endpoint.ssh?.needsOpenSsh;
  expect(await needs("CertificateFile ~/.ssh/x-cert.pub")).toBe("CertificateFile is set");
  expect(await needs("GSSAPIAuthentication yes")).toBeUndefined();
  const certified = key("certified");
  expect(await needs("IdentityFile ~/.ssh/certified")).toBeUndefined();
  key("with-cert");
  writeFileSync(`${join(homedir(), ".ssh", "with-cert")}-cert.pub`, "");
  expect(await needs("IdentityFile ~/.ssh/with-cert")).toMatch(/with-cert has a certificate$/);
  writeFileSync(`${certified}.pub`, "sk-ssh-ed25519@openssh.com AAAA\n");
  expect(await needs("IdentityFile ~/.ssh/certified")).toMatch(/is the key of a security device$/);
  expect(await needs("Host gate\n ProxyCommand nc %h %p\nHost web1\n ProxyJump gate\n")).toBe(
    "gate, on the way: ProxyCommand is set",
  );
  const ticket = scratch.write("ticket", "");
  process.env.KRB5CCNAME = `FILE:${ticket}`;
  try {
    expect(await needs("GSSAPIAuthentication yes")).toMatch(/^GSSAPIAuthentication/);
  } finally {
    delete process.env.KRB5CCNAME;
  }
});

test("ProxyJump none keeps out a later ProxyJump, not a later ProxyCommand", async () => {
  const late = await resolve({ config: "ProxyJump none\nProxyJump gate\nProxyCommand nc %h %p\n" });
  expect(late.endpoint.ssh).toMatchObject({ jumps: [], needsOpenSsh: "ProxyCommand is set" });
});

test("arguments are read as lines of ssh_config are", async () => {
  const args = "-o 'IdentityAgent=\"/run/my agent\"' -o User='ann\\ b' -o \"SetEnv=A=1 'B=2 3'\"";
  const { endpoint } = await resolve({ config: "User config\n", args });
  expect(endpoint).toMatchObject({
    user: "ann b",
    ssh: { agent: "/run/my agent", environment: { A: "1", B: "2 3" } },
  });
});

test("arguments win over files", async () => {
  const config = "Host web1\n Port 1\n ProxyJump gate\n StrictHostKeyChecking yes\n User config\n";
  const args = "-o StrictHostKeyChecking=no -o 'UserKnownHostsFile=/dev/null' -J other -oPort=5 -l args";
  const { endpoint } = await resolve({ config, args });
  expect(endpoint).toMatchObject({
    port: 5,
    user: "args",
    ssh: { hostKeyPolicy: "off", newKeysFile: "/dev/null" },
  });
  expect(endpoint.ssh!.jumps.map(({ host }) => host)).toEqual(["other"]);
});

test("a file that is not there, and one that cannot be parsed, are told by name", async () => {
  expect(() => readSshConfig("/nowhere/config")).toThrow("there is no ssh_config file /nowhere/config");
  expect(() => readSshConfig(homedir())).toThrow(
    `cannot read the ssh_config file ${homedir()}: it is a directory`,
  );
  await expect(resolve({ config: 'Host "web1\n Port 7\n' })).rejects.toMatchObject({
    code: "USAGE",
    location: { file: expect.stringMatching(/config$/) },
  });
  expect(readSshConfig("none")).toEqual([]);
});

/** The result of ssh itself, which is the best reference. */
const SAMPLES: readonly string[] = [
  "Port=2200\nUser = deploy\n",
  "host WEB1\n  port 2200\n",
  "Host web1 web2\n\tUser   tabbed  \n# comment\nHost *\n\tUser other # trailing\n",
  'Host "web1"\n User "quoted"\n',
  "Match host web1\n User a\nMatch host other\n User b\nMatch all\n Port 99\n",
  "Host *.example.org\n User a\nHost web*\n User b\n",
  "Host web1\r\n User crlf\r\n Port 77\r\n",
  "Host !web1 *\n User not\nHost *\n User yes\n",
  "Host web1\n HostName real.example.org\nMatch host real.example.org\n Port 8\nMatch host web1\n Port 9\n",
  "Host web1\n HostName %h.example.org\nMatch originalhost web1 host *.example.org\n User both\n",
  "Host web1\n HostName ::1\n Port 24\n",
  "ConnectTimeout 5\nHost web1\n ConnectTimeout 6\n",
];

test.skipIf(!hasSsh).each(SAMPLES)("as ssh -G understands %j", async (config) => {
  const file = scratch.write("config", config);
  const text = execFileSync("ssh", ["-G", "-F", file, "web1"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const said = (name: string): string | undefined => new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1];
  const { endpoint } = await resolve({ config });
  expect({ address: endpoint.address, port: String(endpoint.port), user: endpoint.user }).toEqual({
    address: said("hostname"),
    port: said("port"),
    user: said("user"),
  });
});
