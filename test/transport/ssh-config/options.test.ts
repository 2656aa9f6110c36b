import { execFileSync, spawnSync } from "node:child_process";
import { homedir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { TransportsOptions } from "../../../src/controller/prepare/reach.ts";
import { openTransports } from "../../../src/controller/prepare/transports.ts";
import { createCommands } from "../../../src/transport/ssh-config/evaluate.ts";
import { OPTIONS, optionName, rowOf } from "../../../src/transport/ssh-config/option-table.ts";
import { readSshConfig } from "../../../src/transport/ssh-config/read.ts";
import { createResolver } from "../../../src/transport/ssh-config/resolve.ts";
import type { Endpoint, SshSettings } from "../../../src/transport/transport.ts";
import { makeHost } from "../lib/reach.ts";
import { scratchHome } from "../lib/scratch.ts";

const scratch = scratchHome();
const isReference = /^OpenSSH_9\.2/.test(spawnSync("ssh", ["-V"], { encoding: "utf8" }).stderr ?? "");

async function resolve(config: string, name = "web1"): Promise<Endpoint> {
  const file = scratch.write("config", config);
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
  });
  return await resolver.resolve({
    host: name,
    name,
    port: undefined,
    user: undefined,
    privateKeyFile: undefined,
    password: undefined,
    written: [],
    words: [],
  });
}

const settings = async (config: string): Promise<SshSettings> => (await resolve(config)).ssh!;

test.skipIf(!isReference)("every option that ssh -G prints has its row", () => {
  const lines = execFileSync("ssh", ["-G", "-F", "none", "any"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const names = lines.split("\n").flatMap((line) => /^(\S+) /.exec(line)?.[1]?.toLowerCase() ?? []);
  expect(names.filter((name) => name !== "host" && optionName(name) === undefined)).toEqual([]);
});

test("every row that asks for nothing says why", () => {
  const silent = Object.entries(OPTIONS).filter(([, { by, why }]) => by === "nothing" && (why ?? "") === "");
  expect(silent).toEqual([]);
});

test.each([
  "BindInterface eth0",
  "CanonicalizeHostname yes",
  "CertificateFile /k-cert.pub",
  "CheckHostIP yes",
  "HostbasedAuthentication yes",
  "KnownHostsCommand /bin/keys",
  "NoHostAuthenticationForLocalhost yes",
  "PKCS11Provider /p11.so",
  "ProxyCommand nc %h %p",
  "RekeyLimit 1G 1h",
  "RemoteForward 3128 proxy:3128",
  "RevokedHostKeys /etc/ssh/revoked",
  "Tunnel yes",
  "VerifyHostKeyDNS ask",
  "PubkeyAuthentication host-bound",
])("%s leaves the host to ssh, and says so; none and no do not", async (line) => {
  const [name = "", ...words] = line.split(" ");
  expect((await settings(line)).needsOpenSsh).toBe(`${name} is set`);
  if (rowOf(name.toLowerCase())!.when === undefined) return;
  const off = {
    ProxyCommand: "none",
    PKCS11Provider: "none",
    CertificateFile: "none",
    RevokedHostKeys: "none",
  };
  const value =
    name in off || name === "KnownHostsCommand" ? "none" : name === "RekeyLimit" ? "default none" : "no";
  expect(
    (await settings(`${name} ${value}\n`)).needsOpenSsh,
    `${name} ${value}, not ${words.join(" ")}`,
  ).toBeUndefined();
});

test("algorithms: what the lists leave, or the host is left to ssh", async () => {
  const { algorithms } = await settings(
    "Ciphers -*gcm*,chacha*\nMACs ^hmac-sha2-512\nKexAlgorithms +diffie-hellman-group14-sha1\nHostKeyAlgorithms ssh-ed25519,ssh-rsa",
  );
  expect(algorithms.cipher).toEqual(["aes128-ctr", "aes192-ctr", "aes256-ctr"]);
  expect(algorithms.hmac?.[0]).toBe("hmac-sha2-512");
  expect(algorithms.kex?.at(-1)).toBe("diffie-hellman-group14-sha1");
  expect(algorithms.serverHostKey).toEqual(["ssh-ed25519", "ssh-rsa"]);
  for (const line of ["KexAlgorithms sntrup761x25519-sha512@openssh.com", "MACs umac-128@openssh.com"])
    expect((await settings(line)).needsOpenSsh).toMatch(/ leaves nothing that ssh2 can do$/);
  expect((await settings("PubkeyAcceptedAlgorithms rsa-sha2-256")).needsOpenSsh).toMatch(
    /^PubkeyAcceptedAlgorithms/,
  );
  expect((await settings("PubkeyAcceptedAlgorithms ssh-ed25519")).keyAlgorithms).toEqual(["ssh-ed25519"]);
});

test("what ssh2 follows", async () => {
  process.env.VOLLEY_TEST_ONE = "1";
  try {
    expect(
      await settings(
        "BindAddress 127.0.0.2\nAddressFamily inet6\nConnectionAttempts 4\nRequiredRSASize 3072\nBatchMode yes\nSendEnv VOLLEY_TEST_* LANG\nSetEnv A=1 'B=two words'\nForwardAgent /a/%n.sock\nPreferredAuthentications keyboard-interactive,publickey,gssapi-with-mic\nKbdInteractiveAuthentication no",
      ),
    ).toMatchObject({
      bindAddress: "127.0.0.2",
      addressFamily: 6,
      connectRetries: 3,
      requiredRsaBits: 3_072,
      mayAsk: false,
      environment: { VOLLEY_TEST_ONE: "1", A: "1", B: "two words" },
      forwardAgent: true,
      forwardedAgent: "/a/web1.sock",
      loginMethods: ["publickey"],
      needsOpenSsh: undefined,
    });
  } finally {
    delete process.env.VOLLEY_TEST_ONE;
  }
  expect((await settings("PubkeyAuthentication no")).loginMethods).toEqual([
    "password",
    "keyboard-interactive",
  ]);
  expect((await settings("UserKnownHostsFile none")).newKeysFile).toBeUndefined();
  expect((await settings("UserKnownHostsFile none")).knownHostsFiles).toEqual([
    "/etc/ssh/ssh_known_hosts",
    "/etc/ssh/ssh_known_hosts2",
  ]);
});

test("quotes, backslashes and tokens, wherever they stand", async () => {
  const [one, two] = ["k 1", "k'2"].map((name) => scratch.write(`home/.ssh/${name}`, ""));
  const config = `Host 'web1' "web 2"
  User='deploy'
  IdentityFile ~/.ssh/k\\ 1
  IdentityFile ~/.ssh/"k'2"
  ProxyJump %r@bast-%n:2201
`;
  const { user, ssh } = await resolve(config);
  expect({ user, files: ssh!.identityFiles }).toEqual({ user: "deploy", files: [one, two] });
  expect(ssh!.jumps).toMatchObject([{ user: "deploy", address: "bast-web1", port: 2201 }]);
  expect((await resolve(config, "web 2")).user).toBe("deploy");
});

test.each([
  ["Port 22\nUser a b\n", 2, 'User: "b" is one argument too many'],
  ["NoSuchOption yes\n", 1, 'there is no option "nosuchoption"'],
  ["\nUser\n", 2, "user has no argument"],
  ["Host x\n Port many\n", 2, 'Port: unsupported value "many"'],
  ["Match host\n", 1, "Match: host has no argument"],
  ["Match nosuch x\n", 1, 'Match: there is no criterion "nosuch"'],
  ["User 'open\n", 1, "a quote is not closed"],
])("%j is refused, with file and line", async (config, line, message) => {
  await expect(resolve(config)).rejects.toMatchObject({
    code: "USAGE",
    message: `ssh_config: ${message}`,
    location: { file: scratch.path("config"), line },
  });
});

test("IgnoreUnknown lets options pass that come after it", async () => {
  expect((await resolve("IgnoreUnknown UseKey*,No*\nNoSuchOption yes\nUser u\n")).user).toBe("u");
  await expect(resolve("NoSuchOption yes\nIgnoreUnknown No*\n")).rejects.toMatchObject({ code: "USAGE" });
});

test("a named key that is not there is not replaced by those of the home", async () => {
  const own = scratch.write("home/.ssh/id_ed25519", "");
  expect((await settings("IdentityFile /nowhere/key")).identityFiles).toEqual([]);
  expect((await settings("IdentityFile none")).identityFiles).toEqual([]);
  expect((await settings("")).identityFiles).toEqual([own]);
  expect(join(homedir(), ".ssh/id_ed25519")).toBe(own);
});

async function notesWith(options: TransportsOptions, config: string): Promise<readonly string[]> {
  const hosts = ["a", "b"].map((name) => makeHost(name, { address: "192.0.2.1" }));
  const sshConfig = scratch.write("config", config);
  const transports = await openTransports(hosts, { sshConfig, ...options }, new AbortController().signal);
  transports.close();
  return transports.notes.map(({ host, text }) => `${host}: ${text}`);
}

test("which hosts are left to ssh is said once; with --transport ssh2 what is not followed", async () => {
  const config = "RevokedHostKeys /etc/ssh/revoked\n";
  expect(await notesWith({}, config)).toEqual([
    "a: reached with OpenSSH's ssh: RevokedHostKeys is set; so is 1 more host",
  ]);
  expect(await notesWith({ transport: "ssh2" }, config)).toEqual([
    "a: reached with ssh2, as asked for, although RevokedHostKeys is set; so is 1 more host",
  ]);
  expect(await notesWith({ transport: "openssh" }, config)).toEqual([]);
});
