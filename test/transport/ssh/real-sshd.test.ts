import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, rmSync } from "node:fs";
import { createInterface } from "node:readline";
import { describe, expect, onTestFinished, test } from "vitest";
import { trustHosts } from "../../../src/controller/prepare/trust.ts";
import type { Host, Inventory } from "../../../src/core/inventory.ts";
import { volleyHere } from "../../e2e/lib/here.ts";
import { transportsOpener, visit } from "../lib/reach.ts";
import { scratchHome } from "../lib/scratch.ts";
import { canLogIn, makeKey, type Sshd, startSshd } from "../lib/sshd.ts";

const scratch = scratchHome();
const open = transportsOpener();
const PASSPHRASE = "correct horse";
/** How hosts are reached: each must do the same. */
const TRANSPORTS = ["ssh2", "openssh"] as const;

/** Run an agent with these keys; return its socket. */
async function startAgent(...files: readonly string[]): Promise<string> {
  const socket = scratch.path("agent");
  const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: ["ignore", "pipe", "ignore"] });
  onTestFinished(() => void agent.kill());
  await once(createInterface(agent.stdout), "line");
  for (const file of files) {
    const env = { ...process.env, SSH_AUTH_SOCK: socket };
    execFileSync("ssh-add", ["-q", file], { env, stdio: "ignore" });
  }
  return socket;
}

function knownTo(sshd: Sshd): { readonly knownHostsFiles: readonly string[] } {
  return { knownHostsFiles: [scratch.write("known", `[127.0.0.1]:${sshd.port} ${sshd.hostKey}\n`)] };
}

function inventoryOf(...hosts: readonly Host[]): Inventory {
  const names = hosts.map(({ name }) => name);
  return {
    hosts: new Map(hosts.map((host) => [host.name, host])),
    groups: new Map([["all", { name: "all", hosts: names, directHosts: names, children: [], vars: {} }]]),
    paths: [],
  };
}

describe.skipIf(!canLogIn)("keys, as ssh finds them", () => {
  test("only the public half of the named key is there; the agent has the key", async () => {
    const sshd = await startSshd();
    const lab = scratch.path("lab");
    sshd.authorize(makeKey(lab));
    const others = ["a", "b"].map((name) => scratch.path(name));
    for (const file of others) makeKey(file);
    const socket = await startAgent(...others, lab);
    rmSync(lab);
    const config = (more: string): string => scratch.write("config", `IdentityAgent ${socket}\n${more}`);
    for (const more of [`IdentityFile ${lab}`, `IdentityFile ${lab}\nIdentitiesOnly yes`]) {
      const sshConfig = config(more);
      expect(await visit(await open([sshd.host()], { ...knownTo(sshd), sshConfig }), sshd.host())).toBe(
        "here\n",
      );
    }
    const named = sshd.host({ privateKeyFile: lab });
    expect(await visit(await open([named], { ...knownTo(sshd), sshConfig: config("") }), named)).toBe(
      "here\n",
    );
    const alone = scratch.write("alone", `IdentityFile ${lab}\nIdentityAgent none\n`);
    await expect(
      visit(await open([sshd.host()], { ...knownTo(sshd), sshConfig: alone }), sshd.host()),
    ).rejects.toMatchObject({
      code: "AUTH_FAILED",
      message: `real: of the key ${lab} only the public half is here, and no agent holds it`,
    });
  });

  test.each(["ed25519", "rsa", "ecdsa"])(
    "an encrypted %s key without .pub, which the agent holds",
    async (type) => {
      const sshd = await startSshd(["MaxAuthTries 2"]);
      const file = scratch.path("locked");
      sshd.authorize(makeKey(file, "", type));
      const others = ["a", "b", "c"].map((name) => scratch.path(name));
      for (const other of others) makeKey(other);
      const plain = scratch.path("plain");
      copyFileSync(file, plain);
      const socket = await startAgent(...others, plain);
      execFileSync("ssh-keygen", ["-q", "-p", "-a", "1", "-f", file, "-P", "", "-N", PASSPHRASE], {
        stdio: "ignore",
      });
      rmSync(`${file}.pub`);
      const sshConfig = scratch.write(
        "config",
        `IdentityAgent ${socket}\nIdentityFile ${file}\nIdentitiesOnly yes\n`,
      );
      const askPassphrase = async (): Promise<never> => expect.unreachable("nothing is to be asked");
      const transports = await open([sshd.host()], { ...knownTo(sshd), sshConfig, askPassphrase });
      expect(await visit(transports, sshd.host())).toBe("here\n");
    },
  );

  test("PubkeyAuthentication no: no key is used, as with ssh", async () => {
    const sshd = await startSshd();
    const file = scratch.path("key");
    sshd.authorize(makeKey(file));
    const sshConfig = scratch.write("config", `IdentityFile ${file}\nPubkeyAuthentication no\n`);
    const options = { ...knownTo(sshd), sshConfig };
    await expect(visit(await open([sshd.host()], options), sshd.host())).rejects.toMatchObject({
      code: "AUTH_FAILED",
      message: "ssh_config lets no key be used for real, and there is no password",
    });
    const openssh = await open([sshd.host()], { ...options, transport: "openssh" });
    await expect(visit(openssh, sshd.host())).rejects.toMatchObject({ code: "AUTH_FAILED" });
  });

  test("too many keys in the agent: how many were offered, and what to do, in every command", async () => {
    const sshd = await startSshd(["MaxAuthTries 3"]);
    sshd.authorize(makeKey(scratch.path("right")));
    const files = Array.from({ length: 8 }, (_none, index) => scratch.path(`foreign-${index}`));
    for (const file of files) makeKey(file);
    process.env.SSH_AUTH_SOCK = await startAgent(...files);
    const said = "too many authentication failures (3 of 8 keys were offered, none was accepted)";
    const hint = /name the right key with --private-key, or\s+with IdentityFile/;
    const { knownHostsFiles } = knownTo(sshd);
    const inventory = scratch.write(
      "hosts.json",
      JSON.stringify({ all: { hosts: { real: { ansible_host: "127.0.0.1", ansible_port: sshd.port } } } }),
    );
    const common = ["-i", inventory, "--known-hosts", knownHostsFiles[0]!, "--ssh-config", "none"];
    scratch.write("package.json", "{}");
    const site = scratch.write(
      "site.ts",
      'import { debug, definePlaybook } from "volley";\nexport default definePlaybook([{ name: "One", hosts: "all", tasks: ({ task }) => { task("Say", debug({ msg: "hello" })); } }]);\n',
    );
    const sent = scratch.write("file", "x\n");
    for (const words of [
      ["exec", ...common, "real", "--", "true"],
      ["put", ...common, "real", sent, "/tmp/x"],
      ["get", ...common, "real", "/etc/hostname", scratch.path("got")],
      ["run", ...common, site],
    ]) {
      const { code, stdout, stderr } = await volleyHere(words, { cwd: scratch.path("") });
      const shown = `${stdout}${stderr}`.replace(/\s+/g, " ");
      expect([1, 4], words[0]).toContain(code);
      expect(shown, words[0]).toContain(said);
      expect(shown, words[0]).toMatch(hint);
    }
    const openssh = await open([sshd.host()], { knownHostsFiles, sshConfig: "none", transport: "openssh" });
    await expect(visit(openssh, sshd.host())).rejects.toMatchObject({
      code: "AUTH_FAILED",
      message: expect.stringContaining("too many authentication failures"),
      hint: expect.stringMatching(hint),
    });
  });
});

describe.skipIf(!canLogIn)("options of ssh_config that a host can tell of", () => {
  test("SetEnv and SendEnv, as far as sshd takes them; a run's language is not the operator's", async () => {
    const sshd = await startSshd(["AcceptEnv VOLLEY_* LC_*"]);
    const file = scratch.path("key");
    sshd.authorize(makeKey(file));
    Object.assign(process.env, { VOLLEY_SENT: 'it\'s "sent"', LC_MESSAGES: "de_DE.UTF-8" });
    onTestFinished(() => {
      delete process.env.VOLLEY_SENT;
      delete process.env.LC_MESSAGES;
    });
    const sshConfig = scratch.write(
      "config",
      `IdentityFile ${file}\nSendEnv VOLLEY_SENT LC_*\nSetEnv VOLLEY_SET="two words" VOLLEY_SENT=lost\n`,
    );
    for (const transport of TRANSPORTS) {
      const transports = await open([sshd.host()], { ...knownTo(sshd), sshConfig, transport });
      const shown = await visit(
        transports,
        sshd.host(),
        'printf "%s|" "$VOLLEY_SENT" "$VOLLEY_SET" "$LC_MESSAGES"',
      );
      expect(shown, transport).toBe("lost|two words||");
    }
  });

  test("BindAddress, Ciphers, MACs and KexAlgorithms are what the host sees", async () => {
    const sshd = await startSshd([
      "Ciphers aes256-ctr",
      "MACs hmac-sha2-512",
      "KexAlgorithms ecdh-sha2-nistp384",
    ]);
    const file = scratch.path("key");
    sshd.authorize(makeKey(file));
    const follow = async (lines: string): Promise<string> => {
      const sshConfig = scratch.write("config", `IdentityFile ${file}\n${lines}\n`);
      const transports = await open([sshd.host()], { ...knownTo(sshd), sshConfig, connectRetries: 0 });
      expect(transports.notes).toEqual([]);
      return await visit(transports, sshd.host(), 'echo "$SSH_CLIENT"');
    };
    expect(await follow("BindAddress 127.0.0.9\nCiphers aes256-ctr\nMACs hmac-sha2-512")).toMatch(
      /^127\.0\.0\.9 /,
    );
    for (const line of ["Ciphers aes128-ctr", "MACs hmac-sha2-256", "KexAlgorithms curve25519-sha256"])
      await expect(follow(line), line).rejects.toMatchObject({
        code: "CONNECT_FAILED",
        message: expect.stringContaining("no matching"),
      });
    await expect(follow("AddressFamily inet6")).rejects.toMatchObject({ code: "CONNECT_FAILED" });
    await expect(follow("BindAddress 192.0.2.1")).rejects.toMatchObject({
      message: expect.stringContaining("this machine has no address 192.0.2.1 (BindAddress) to connect from"),
    });
  });

  test("RevokedHostKeys: left to ssh, which refuses the key; with --transport ssh2 the host is refused", async () => {
    const sshd = await startSshd();
    const file = scratch.path("key");
    sshd.authorize(makeKey(file));
    const revoked = scratch.write("revoked", `${sshd.hostKey}\n`);
    const sshConfig = scratch.write("config", `IdentityFile ${file}\nRevokedHostKeys ${revoked}\n`);
    const options = { ...knownTo(sshd), sshConfig };
    const automatic = await open([sshd.host()], options);
    expect(automatic.notes).toEqual([
      { host: "real", text: "reached with OpenSSH's ssh: RevokedHostKeys is set" },
    ]);
    await expect(visit(automatic, sshd.host())).rejects.toMatchObject({ code: "HOST_KEY_CHANGED" });
    await expect(
      visit(await open([sshd.host()], { ...options, transport: "ssh2" }), sshd.host()),
    ).rejects.toMatchObject({
      code: "CONNECT_FAILED",
      message: "real: RevokedHostKeys is set, which ssh2 cannot do",
    });
  });
});

describe.skipIf(!canLogIn)("known_hosts, as ssh reads it", () => {
  test.each(TRANSPORTS)("a key that is listed without the port is known: %s", async (transport) => {
    const sshd = await startSshd();
    const file = scratch.path("key");
    sshd.authorize(makeKey(file));
    const host = sshd.host({ privateKeyFile: file });
    for (const line of [
      `127.0.0.1 ${sshd.hostKey}`,
      `* ${sshd.hostKey}`,
      `!x,127.* ${sshd.hostKey} of all`,
    ]) {
      const options = { knownHostsFiles: [scratch.write("known", `${line}\n`)], transport };
      expect(await visit(await open([host], options), host), line).toBe("here\n");
    }
    const other = makeKey(scratch.path("other")).split(" ").slice(0, 2).join(" ");
    for (const line of [
      `127.0.0.1 ${other}`,
      `[127.0.0.1]:1 ${sshd.hostKey}`,
      `@unknown 127.0.0.1 ${sshd.hostKey}`,
    ]) {
      const options = { knownHostsFiles: [scratch.write("known", `${line}\n`)], transport };
      await expect(visit(await open([host], options), host), line).rejects.toMatchObject({
        code: "HOST_KEY_UNKNOWN",
      });
    }
  });

  test("hosts trust: revoked and changed keys are told of, and not added", async () => {
    const sshd = await startSshd();
    const other = makeKey(scratch.path("other")).split(" ").slice(0, 2).join(" ");
    const name = `[127.0.0.1]:${sshd.port}`;
    const askHostKeys = async (): Promise<boolean> => expect.unreachable("nothing is to be asked");
    const learn = async (text: string) => {
      const known = scratch.write("known", text);
      const options = { inventory: inventoryOf(sshd.host()), knownHostsFiles: [known], sshConfig: "none" };
      return await trustHosts({ ...options, askHostKeys });
    };
    for (const line of [
      `@revoked ${name} ${sshd.hostKey}`,
      `@revoked * ${sshd.hostKey}`,
      `@revoked 127.0.0.1 ${sshd.hostKey}`,
    ])
      expect(await learn(`${line}\n`), line).toMatchObject({
        added: [],
        known: 0,
        distrusted: [
          { host: "real", problem: expect.stringContaining(`is revoked (${scratch.path("known")}:1)`) },
        ],
      });
    expect(await learn(`\n${name} ${other}\n`)).toMatchObject({
      added: [],
      known: 0,
      distrusted: [{ problem: expect.stringMatching(/^its key has changed: .*known:2$/) }],
    });
    expect(await learn(`@cert-authority * ${other}\n`)).toMatchObject({
      added: [],
      known: 0,
      skipped: [{ host: "real", reason: expect.stringContaining("only a certificate vouches for its key") }],
    });
    expect(await learn(`127.0.0.1 ${sshd.hostKey}\n`)).toMatchObject({
      known: 1,
      distrusted: [],
      skipped: [],
    });
  });
});

describe.skipIf(!canLogIn)("hosts with several keys, or with old ones only", () => {
  test("StrictHostKeyChecking no: the listed key is asked for, so that it can be compared", async () => {
    const sshd = await startSshd();
    const rsa = makeKey(sshd.path("rsa"), "", "rsa").split(" ").slice(0, 2).join(" ");
    const both = await startSshd([`HostKey ${sshd.path("rsa")}`]);
    const file = scratch.path("key");
    both.authorize(makeKey(file));
    const agent = await startAgent(file);
    const known = scratch.write("known", `[127.0.0.1]:${both.port} ${rsa}\n`);
    const lines = `IdentityAgent ${agent}\nForwardAgent yes\nStrictHostKeyChecking no\nUserKnownHostsFile ${known}\n`;
    const options = { sshConfig: scratch.write("config", lines) };
    expect(
      await visit(await open([both.host()], options), both.host(), 'test -S "$SSH_AUTH_SOCK" && echo agent'),
    ).toBe("agent\n");
    scratch.write("known", `[127.0.0.1]:${both.port} ${sshd.hostKey}\n`);
    await expect(visit(await open([both.host()], options), both.host())).rejects.toMatchObject({
      code: "HOST_KEY_CHANGED",
    });
  });

  test("a host that signs only with SHA-1 is reached where HostKeyAlgorithms asks for that, and told of elsewhere", async () => {
    const first = await startSshd();
    makeKey(first.path("rsa"), "", "rsa");
    const file = scratch.path("key");
    const old = await startSshd(["HostKeyAlgorithms ssh-rsa", `HostKey ${first.path("rsa")}`]);
    old.authorize(makeKey(file));
    const host = old.host({ privateKeyFile: file });
    const reach = async (lines: string): Promise<string> => {
      const sshConfig = scratch.write("config", lines);
      return await visit(await open([host], { sshConfig, hostKeys: "off", connectRetries: 0 }), host);
    };
    await expect(reach("")).rejects.toMatchObject({
      code: "CONNECT_FAILED",
      message: "real: the host has no key of a type that is asked for",
      hint: expect.stringContaining("HostKeyAlgorithms +ssh-rsa"),
    });
    expect(await reach("HostKeyAlgorithms +ssh-rsa\n")).toBe("here\n");
  });
});
