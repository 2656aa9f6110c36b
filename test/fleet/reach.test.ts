import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { TransportsOptions } from "../../src/controller/prepare/reach.ts";
import type { Host } from "../../src/core/inventory.ts";
import { connectTo, makeHost, output, transportsOpener, visit } from "../transport/lib/reach.ts";
import { scratchHome } from "../transport/lib/scratch.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import type { FleetHost } from "./lib/host.ts";
import { hostPassword } from "./lib/recipe.ts";
import { fleetAvailable } from "./lib/requirements.ts";

const sh = (...argv: readonly string[]): string =>
  execFileSync(argv[0]!, argv.slice(1), { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });

describe.skipIf(!fleetAvailable())("reaching Debian hosts through their sshd", () => {
  const scratch = scratchHome();
  const open = transportsOpener();
  let fleet: Fleet;
  let target: FleetHost;
  let keys: string;

  beforeAll(async () => {
    fleet = await bootFleet({ count: 4 });
    target = fleet.hosts[3]!;
    keys = join(fleet.folder, "keys");
    mkdirSync(keys);
  });
  afterAll(() => fleet?.stop());
  beforeEach(() => configure(target, ""));
  afterEach(() => configure(target, ""));

  /** Gives a host's sshd more configuration, which wins over what it has; of the target after each test none. */
  async function configure(host: FleetHost, text: string): Promise<void> {
    const file = join(host.root, "etc/ssh/sshd_config.d/05-test.conf");
    const before = (() => {
      try {
        return readFileSync(file, "utf8");
      } catch {
        return "";
      }
    })();
    if (before === text) return;
    writeFileSync(file, text);
    // Or systemd refuses: it is restarted more often than a service should be.
    await host.exec(["systemctl", "reset-failed", "ssh"]);
    await host.exec(["systemctl", "restart", "ssh"]);
    await host.waitUntilUp(host.bootCount);
  }

  function as(user: string, more: Partial<Host["connection"]> = {}, vars: Host["vars"] = {}): Host {
    const { address, port } = target;
    return makeHost("target", { address, port, user, ...more }, vars);
  }

  const known = (): TransportsOptions => ({ knownHostsFiles: [fleet.knownHostsPath] });

  async function reach(host: Host, options: TransportsOptions = {}): Promise<unknown> {
    const transports = await open([host], { ...known(), ...options });
    return await visit(transports, host, "id -un").catch((thrown: unknown) => thrown);
  }

  /** Lets a key in to the target, for a user. */
  function authorize(user: string, publicKey: string): void {
    appendFileSync(join(target.root, `home/${user}/.ssh/authorized_keys`), publicKey);
  }

  interface KeyCase {
    readonly type: string;
    readonly bits?: number;
    readonly format: "RFC4716" | "PEM" | "PKCS8";
    readonly passphrase: string;
  }

  const keyCases: readonly KeyCase[] = [
    ...["", hostPassword].flatMap((passphrase) => [
      { type: "ed25519", format: "RFC4716" as const, passphrase },
      ...[256, 384, 521].flatMap((bits) =>
        (["RFC4716", "PEM", "PKCS8"] as const).map((format) => ({ type: "ecdsa", bits, format, passphrase })),
      ),
      ...[2048, 4096].flatMap((bits) =>
        (["RFC4716", "PEM", "PKCS8"] as const).map((format) => ({ type: "rsa", bits, format, passphrase })),
      ),
    ]),
  ];

  it.each(keyCases)(
    "by key: $type $bits, $format, passphrase '$passphrase'",
    async ({ type, bits, format, passphrase }) => {
      const file = join(keys, `${type}-${bits ?? 0}-${format}-${passphrase === "" ? "plain" : "locked"}`);
      sh(
        "ssh-keygen",
        "-q",
        "-t",
        type,
        ...(bits === undefined ? [] : ["-b", String(bits)]),
        "-m",
        format,
        "-N",
        passphrase,
        "-f",
        file,
      );
      authorize("deploy", readFileSync(`${file}.pub`, "utf8"));
      const ask = passphrase === "" ? {} : { askPassphrase: async () => passphrase };
      expect(await reach(as("deploy", { privateKeyFile: file }), ask)).toBe("deploy\n");
    },
  );

  async function startAgent(...files: readonly string[]): Promise<{ readonly socket: string; stop(): void }> {
    const socket = scratch.path("agent");
    const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: ["ignore", "pipe", "ignore"] });
    await once(createInterface(agent.stdout), "line");
    for (const file of files)
      execFileSync("ssh-add", ["-q", file], {
        env: { ...process.env, SSH_AUTH_SOCK: socket },
        stdio: "ignore",
      });
    return { socket, stop: () => void agent.kill() };
  }

  it.each(["ed25519", "ecdsa", "rsa"])("by a key in the agent: %s", async (type) => {
    const file = scratch.path(type);
    sh("ssh-keygen", "-q", "-t", type, "-N", "", "-f", file);
    authorize("plain", readFileSync(`${file}.pub`, "utf8"));
    const agent = await startAgent(file);
    try {
      const sshConfig = scratch.write("config", `IdentityAgent ${agent.socket}\n`);
      expect(await reach(as("plain"), { sshConfig })).toBe("plain\n");
    } finally {
      agent.stop();
    }
  });

  it.each(["ssh2", "openssh"] as const)("the agent goes along only when asked: %s", async (transport) => {
    const agent = await startAgent(fleet.privateKeyPath);
    process.env.SSH_AUTH_SOCK = agent.socket;
    const host = as("plain");
    const listed = async (options: TransportsOptions): Promise<string> =>
      await visit(await open([host], { ...known(), transport, ...options }), host, "ssh-add -l");
    try {
      expect(await listed({})).toMatch(/Could not open a connection|Error connecting/);
      expect(await listed({ forwardAgent: true })).toMatch(/ED25519/);
      expect(await listed({ sshConfig: scratch.write("config", "ForwardAgent yes\n") })).toMatch(/ED25519/);
    } finally {
      agent.stop();
    }
  });

  async function failuresSince(since: string): Promise<number> {
    const { stdout } = await target.exec(["journalctl", "-u", "ssh", "--since", since, "-o", "cat"]);
    return stdout
      .split("\n")
      .filter((line) => /^Failed (password|keyboard-interactive)|authentication failure;/.test(line)).length;
  }

  const METHODS = [
    ["password", "PasswordAuthentication yes\nKbdInteractiveAuthentication no\n"],
    ["keyboard-interactive", "PasswordAuthentication no\nKbdInteractiveAuthentication yes\n"],
    ["both", "PasswordAuthentication yes\nKbdInteractiveAuthentication yes\n"],
  ] as const;

  it.each(
    METHODS.flatMap(([method, config]) =>
      (["ssh2", "openssh"] as const).map((transport) => [method, transport, config] as const),
    ),
  )("by %s, through PAM, with %s; a wrong one is tried once", async (_method, transport, config) => {
    await configure(target, config);
    expect(await reach(as("pass"), { password: hostPassword, transport })).toBe("pass\n");
    const since = (await target.exec(["date", "+%F %T"])).stdout.trim();
    expect(await reach(as("pass"), { password: "wrong", transport })).toMatchObject({ code: "AUTH_FAILED" });
    if (transport === "ssh2") await expect.poll(() => failuresSince(since)).toBeLessThanOrEqual(2);
  });

  it.each(["ssh2", "openssh"] as const)(
    "by key and then password, where the host wants both: %s",
    async (transport) => {
      await configure(target, "Match User pass\n  AuthenticationMethods publickey,password\n");
      const host = as("pass", { privateKeyFile: fleet.privateKeyPath });
      expect(await reach(host, { password: hostPassword, transport })).toBe("pass\n");
      expect(await reach(host, { transport })).toMatchObject({ code: "AUTH_FAILED" });
    },
  );

  it("with hashed known hosts, and with only one of its keys known", async () => {
    const types = ["ecdsa", "rsa"];
    for (const type of types) {
      const file = join(target.root, `etc/ssh/ssh_host_${type}_key`);
      sh("ssh-keygen", "-q", "-t", type, "-N", "", "-f", file);
    }
    const all = ["ed25519", ...types];
    await configure(target, all.map((type) => `HostKey /etc/ssh/ssh_host_${type}_key\n`).join(""));
    const host = as("deploy", { privateKeyFile: fleet.privateKeyPath });
    for (const type of all) {
      const [name, blob] = readFileSync(join(target.root, `etc/ssh/ssh_host_${type}_key.pub`), "utf8").split(
        " ",
      );
      const file = scratch.write(
        `known-${type}`,
        `[${target.address}]:${target.port} ${name} ${blob}\n${target.address} ${name} ${blob}\n`,
      );
      sh("ssh-keygen", "-H", "-f", file);
      expect(readFileSync(file, "utf8")).not.toContain(target.address);
      expect(await reach(host, { knownHostsFiles: [file] }), type).toBe("deploy\n");
    }
    await configure(target, "HostKey /etc/ssh/ssh_host_ed25519_key\n");
    expect(await reach(host, { knownHostsFiles: [scratch.path("known-rsa")] })).toMatchObject({
      code: "HOST_KEY_CHANGED",
      message: expect.stringContaining("no key of a type that is known"),
    });
  });

  it("with user certificates: OpenSSH is chosen by itself, and lets in", async () => {
    const [authority, file] = [scratch.path("ca"), scratch.path("id")];
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", authority);
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file);
    sh("ssh-keygen", "-q", "-s", authority, "-I", "test", "-n", "plain", `${file}.pub`);
    copyFileSync(`${authority}.pub`, join(target.root, "etc/ssh/user_ca.pub"));
    await configure(target, "TrustedUserCAKeys /etc/ssh/user_ca.pub\n");
    const host = as("plain", { privateKeyFile: file });
    const transports = await open([host], known());
    expect(transports.notes.map(({ text }) => text)).toEqual([
      expect.stringMatching(/id has a certificate$/),
    ]);
    expect(await visit(transports, host, "id -un")).toBe("plain\n");
    expect(await reach(host, { transport: "ssh2" })).toMatchObject({ code: "AUTH_FAILED" });
    expect(await reach({ ...host, connection: { ...host.connection, user: "deploy" } })).toMatchObject({
      code: "AUTH_FAILED",
    });
  });

  it("with host certificates: @cert-authority and @revoked are heeded", async () => {
    const authority = scratch.path("ca");
    const hostKey = join(target.root, "etc/ssh/ssh_host_ed25519_key.pub");
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", authority);
    sh("ssh-keygen", "-q", "-s", authority, "-I", "host", "-h", "-n", target.address, hostKey);
    await configure(target, "HostCertificate /etc/ssh/ssh_host_ed25519_key-cert.pub\n");
    const host = as("deploy", { privateKeyFile: fleet.privateKeyPath });
    const file = scratch.write(
      "known",
      `@cert-authority *,[*]:* ${readFileSync(`${authority}.pub`, "utf8")}`,
    );
    expect(await reach(host, { knownHostsFiles: [file] })).toBe("deploy\n");
    expect(await reach(host, { knownHostsFiles: [file], transport: "ssh2" })).toMatchObject({
      code: "HOST_KEY_UNKNOWN",
      message: expect.stringContaining("only a certificate can vouch for it"),
    });
    const revoked = scratch.write(
      "revoked",
      `${readFileSync(fleet.knownHostsPath, "utf8")}@revoked * ${readFileSync(hostKey, "utf8")}`,
    );
    for (const transport of ["ssh2", "openssh"] as const) {
      expect(await reach(host, { knownHostsFiles: [revoked], transport })).toMatchObject({
        code: "HOST_KEY_CHANGED",
        message: expect.stringContaining("revoked"),
      });
    }
  });

  /** How many logins a host has had since. */
  async function loginsOf(host: FleetHost, since: string): Promise<number> {
    const { stdout } = await host.exec(["journalctl", "-u", "ssh", "--since", since, "-o", "cat"]);
    return stdout.split("\n").filter((line) => line.startsWith("Accepted ")).length;
  }

  function jumpConfig(): string {
    const sections = fleet.hosts.map(
      ({ name, address, port }) =>
        `Host ${name}\n HostName ${address}\n Port ${port}\n User plain\n IdentityFile ${fleet.privateKeyPath}\n`,
    );
    return scratch.write("config", sections.join(""));
  }

  it.each(
    [1, 2, 3].flatMap((depth) =>
      (["ssh2", "openssh"] as const).map((transport) => [depth, transport] as const),
    ),
  )("through %i hosts in a row, with %s", async (depth, transport) => {
    const jumps = fleet.hosts.slice(0, depth);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const since = (await target.exec(["date", "+%F %T"])).stdout.trim();
    const way = { ansible_ssh_common_args: `-J ${jumps.map(({ name }) => name).join(",")}` };
    const hosts = Array.from({ length: 12 }, (_none, index) => ({
      ...as("deploy", { privateKeyFile: fleet.privateKeyPath }, way),
      name: `behind${index}`,
    }));
    const some = transport === "ssh2" ? hosts : hosts.slice(0, 2);
    const transports = await open(some, { ...known(), transport, sshConfig: jumpConfig() });
    const said = await Promise.all(some.map((host) => visit(transports, host, "id -un")));
    expect(said).toEqual(some.map(() => "deploy\n"));
    if (transport === "ssh2")
      expect(await Promise.all(jumps.map((host) => loginsOf(host, since)))).toEqual(jumps.map(() => 1));
  });

  it("more channels through one host than MaxSessions allows sessions", async () => {
    const [jump] = fleet.hosts;
    await configure(jump!, "MaxSessions 1\n");
    try {
      const hosts = Array.from({ length: 30 }, (_none, index) => ({
        ...as(
          "deploy",
          { privateKeyFile: fleet.privateKeyPath },
          { ansible_ssh_common_args: `-J ${jump!.name}` },
        ),
        name: `behind${index}`,
      }));
      const transports = await open(hosts, { ...known(), sshConfig: jumpConfig() });
      expect(await Promise.all(hosts.map((host) => visit(transports, host, "id -un")))).toEqual(
        hosts.map(() => "deploy\n"),
      );
    } finally {
      await configure(jump!, "");
    }
  });

  it("through a host that forwards nothing: says so, and which", async () => {
    const [jump] = fleet.hosts;
    await configure(jump!, "AllowTcpForwarding no\n");
    try {
      const host = as(
        "deploy",
        { privateKeyFile: fleet.privateKeyPath },
        { ansible_ssh_common_args: `-J ${jump!.name}` },
      );
      expect(await reach(host, { sshConfig: jumpConfig() })).toMatchObject({
        code: "CONNECT_FAILED",
        message: expect.stringMatching(
          /^target \(127\.10\.\d+\.\d+:\d+\): fleet1, on the way there, lets no connection through/,
        ),
        hint: expect.stringContaining("AllowTcpForwarding"),
      });
    } finally {
      await configure(jump!, "");
    }
  });

  it("more logins at once than MaxStartups takes", async () => {
    await configure(target, "MaxStartups 3\n");
    const hosts = Array.from({ length: 25 }, (_none, index) => ({
      ...as("deploy", { privateKeyFile: fleet.privateKeyPath }),
      name: `login${index}`,
    }));
    const transports = await open(hosts, known());
    const said = await Promise.all(
      hosts.map((host) => visit(transports, host, "id -un").catch((thrown: Error) => thrown.message)),
    );
    expect(said).toEqual(hosts.map(() => "deploy\n"));
  });

  it("at an IPv6 address, also through one", async () => {
    const [first, second] = target.port === 22 ? [2266, 2267] : [target.port + 1, target.port + 2];
    await configure(target, `ListenAddress [::1]:${first}\nListenAddress [::1]:${second}\n`);
    const blob = readFileSync(join(target.root, "etc/ssh/ssh_host_ed25519_key.pub"), "utf8");
    const file = scratch.write("known", `[::1]:${first} ${blob}[::1]:${second} ${blob}`);
    const host = makeHost("six", {
      address: "::1",
      port: second,
      user: "deploy",
      privateKeyFile: fleet.privateKeyPath,
    });
    for (const transport of ["ssh2", "openssh"] as const) {
      expect(await reach(host, { knownHostsFiles: [file], transport })).toBe("deploy\n");
      expect(await reach(host, { knownHostsFiles: ["/dev/null"], transport })).toMatchObject({
        code: "HOST_KEY_UNKNOWN",
      });
      const through = { ...host, vars: { ansible_ssh_common_args: `-J deploy@[::1]:${first}` } };
      expect(await reach(through, { knownHostsFiles: [file], transport })).toBe("deploy\n");
      const { endpoint } = (await open([through], { knownHostsFiles: [file], transport })).of(through);
      expect(endpoint.ssh?.jumps.map(({ port }) => port)).toEqual([first]);
    }
  });

  it("files are sent the same with both, commands end the same", async () => {
    const host = as("plain", { privateKeyFile: fleet.privateKeyPath });
    const bytes = Buffer.from(Array.from({ length: 400_000 }, (_none, index) => (index * 7919) & 0xff));
    for (const transport of ["ssh2", "openssh"] as const) {
      const connection = await connectTo(await open([host], { ...known(), transport }), host);
      const signal = new AbortController().signal;
      await connection.upload(bytes, `sent-${transport}`, { mode: 0o640, signal });
      expect(readFileSync(join(target.root, `home/plain/sent-${transport}`)).equals(bytes)).toBe(true);
      expect(await output(connection, `stat -c '%a %U' sent-${transport}; exit 7`)).toBe(
        '640 plain\n{"kind":"exited","code":7}',
      );
      connection.close();
    }
  });

  it("dropbear instead of sshd: by key and by password, its key learned", async () => {
    const port = target.port === 22 ? 2277 : target.port + 2;
    await target.exec(["apt-get", "update"]);
    await target.exec(["apt-get", "-y", "install", "dropbear-bin"]);
    mkdirSync(join(target.root, "etc/dropbear"), { recursive: true });
    await target.exec([
      "systemd-run",
      "--unit=dropbear-test",
      "dropbear",
      "-F",
      "-R",
      "-p",
      `${target.address}:${port}`,
    ]);
    const file = scratch.path("known");
    const byKey = as("deploy", { port, privateKeyFile: fleet.privateKeyPath });
    const asked: string[] = [];
    const options: TransportsOptions = {
      knownHostsFiles: [file],
      askHostKeys: async (found) => {
        asked.push(...found.map(({ fingerprint }) => fingerprint));
        return true;
      },
    };
    await expect.poll(() => reach(byKey, options), { interval: 500 }).toBe("deploy\n");
    expect(asked).toHaveLength(1);
    expect(await reach(as("pass", { port }), { knownHostsFiles: [file], password: hostPassword })).toBe(
      "pass\n",
    );
    expect(await reach(as("pass", { port }), { knownHostsFiles: [file], password: "wrong" })).toMatchObject({
      code: "AUTH_FAILED",
    });
    for (const type of ["rsa", "ecdsa"]) {
      const key = scratch.path(`dropbear-${type}`);
      sh("ssh-keygen", "-q", "-t", type, "-N", "", "-f", key);
      authorize("deploy", readFileSync(`${key}.pub`, "utf8"));
      expect(
        await reach(as("deploy", { port, privateKeyFile: key }), { knownHostsFiles: [file] }),
        type,
      ).toBe("deploy\n");
    }
  });
});
