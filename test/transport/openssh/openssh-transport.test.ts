import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { TransportsOptions } from "../../../src/controller/prepare/reach.ts";
import type { Host } from "../../../src/core/inventory.ts";
import type { EmbeddedFleet, EmbeddedFleetOptions } from "../../../src/embedded/options.ts";
import type { Connection } from "../../../src/transport/transport.ts";
import { connectTo, fleetStarter, hostsOf, makeHost, output, transportsOpener, visit } from "../lib/reach.ts";
import { scratchHome } from "../lib/scratch.ts";

const scratch = scratchHome();
const startFleet = fleetStarter();
const open = transportsOpener();
const testSsh = test.skipIf(!existsSync("/usr/bin/ssh"));
const user = execFileSync("id", ["-un"], { encoding: "utf8" }).trim();
const signal = new AbortController().signal;

interface Site {
  readonly fleet: EmbeddedFleet;
  readonly host: Host;
  readonly options: TransportsOptions;
}

async function site(options: Partial<EmbeddedFleetOptions> = {}): Promise<Site> {
  const fleet = await startFleet(options);
  const [host] = hostsOf(fleet);
  return { fleet, host: host!, options: { knownHostsFiles: [fleet.knownHostsPath], transport: "openssh" } };
}

async function connect(given: Site): Promise<Connection> {
  return connectTo(await open([given.host], given.options), given.host);
}

testSsh("commands, how they end, and their input; one login for all", async () => {
  const given = await site();
  const connection = await connect(given);
  expect(await output(connection, "echo out; echo err >&2")).toMatch(/^(out\nerr|err\nout)\n$/);
  expect(await output(connection, "exit 3")).toBe('{"kind":"exited","code":3}');
  expect(await output(connection, "exit 255")).toBe('{"kind":"exited","code":255}');
  const cat = await connection.exec("cat", signal);
  let text = "";
  cat.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  cat.stdin.end("through\n");
  expect(await cat.exit).toEqual({ kind: "exited", code: 0 });
  expect(text).toBe("through\n");
  const said = await Promise.all(
    Array.from({ length: 5 }, (_none, index) => output(connection, `echo ${index}`)),
  );
  expect(said).toEqual(["0\n", "1\n", "2\n", "3\n", "4\n"]);
  expect(given.fleet.hosts[0]!.stats.connections).toBe(1);
  connection.close();
  expect(await connection.closed).toBeUndefined();
});

testSsh("a login shell on a terminal, whose size may change", async () => {
  const given = await site();
  const connection = await connect(given);
  const pty = { columns: 70, rows: 20, term: "xterm-256color", resizable: true };
  const shell = await connection.exec(undefined, signal, { pty });
  let seen = "";
  const sees = async (text: string, ask = ""): Promise<void> => {
    for (let attempt = 0; attempt < 600 && !seen.includes(text); attempt++) {
      shell.stdin.write(ask);
      await sleep(100);
    }
    expect(seen).toContain(text);
  };
  shell.stdout.on("data", (chunk: Buffer) => {
    seen += chunk.toString();
  });
  shell.stdin.write("echo $TERM; stty size\r");
  await sees("xterm-256color\r\n20 70\r\n");
  // ssh's own escapes are for the host.
  shell.stdin.write("\r~.\r");
  await sees("~.");
  shell.resize?.(99, 33);
  await sees("33 99", "stty size\r");
  shell.stdin.write("exit 7\r");
  expect(await shell.exit).toEqual({ kind: "exited", code: 7 });
  connection.close();
});

testSsh("a file is sent whole, with its mode, with progress, and never over another", async () => {
  const given = await site();
  const connection = await connect(given);
  const bytes = Buffer.alloc(300_000, 7);
  const progress: number[] = [];
  await connection.upload(bytes, "it's here.run", {
    mode: 0o600,
    signal,
    onProgress: (sent) => progress.push(sent),
  });
  const path = join(given.fleet.hosts[0]!.home, "it's here.run");
  expect(readFileSync(path).equals(bytes)).toBe(true);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(progress.at(-1)).toBe(bytes.length);
  await expect(connection.upload(bytes, "it's here.run", { mode: 0o600, signal })).rejects.toMatchObject({
    code: "UPLOAD_FAILED",
    message: expect.stringContaining("there is a file of this name already"),
  });
  await expect(connection.upload(bytes, "none/file", { mode: 0o600, signal })).rejects.toMatchObject({
    code: "UPLOAD_FAILED",
    message: expect.stringMatching(/^web01: cannot write in ~\/none: .*(No such|nonexistent|Directory)/i),
  });
  await connection.upload(Buffer.alloc(0), "empty", { mode: 0o644, signal });
  expect(statSync(join(given.fleet.hosts[0]!.home, "empty"))).toMatchObject({ size: 0 });
});

testSsh("a connection that goes is told, and what ran on it is lost", async () => {
  const given = await site();
  const connection = await connect(given);
  const process = await connection.exec("echo started; sleep 1000", signal);
  await new Promise((resolve) => process.stdout.once("data", resolve));
  given.fleet.hosts[0]!.dropConnections();
  expect(await process.exit).toMatchObject({ kind: "lost" });
  expect(await connection.closed).toEqual(expect.any(String));
  expect(await output(connection, "echo more")).toContain('"lost"');
});

testSsh("sockets are in a directory for the owner only, removed in the end", async () => {
  const given = await site();
  const transports = await open([given.host], given.options);
  const connection = await connectTo(transports, given.host);
  const parent = scratch.path("cache/volley");
  const [name] = readdirSync(parent);
  expect(statSync(join(parent, name!)).mode & 0o777).toBe(0o700);
  connection.close();
  await connection.closed;
  transports.close();
  expect(readdirSync(parent)).toEqual([]);
});

interface Refusal {
  readonly what: string;
  readonly fleet?: Partial<EmbeddedFleetOptions>;
  readonly options?: (fleet: EmbeddedFleet) => TransportsOptions;
  readonly host?: Partial<Host["connection"]>;
  readonly code: string;
  readonly message: RegExp;
}

const REFUSALS: readonly Refusal[] = [
  {
    what: "no key accepted",
    fleet: { faults: () => ({ kind: "rejectAuth" }) },
    code: "AUTH_FAILED",
    message: /^web01 let user \S+ not in: /,
  },
  {
    what: "another host key",
    fleet: { faults: () => ({ kind: "wrongHostKey" }) },
    code: "HOST_KEY_CHANGED",
    message: /^web01: the host key has changed.*known_hosts:1$/,
  },
  {
    what: "an unknown host key",
    options: () => ({ knownHostsFiles: ["/dev/null"] }),
    code: "HOST_KEY_UNKNOWN",
    message: /^web01: its key is not in known_hosts$/,
  },
  {
    what: "nobody there",
    fleet: { faults: () => ({ kind: "refuse" }) },
    code: "CONNECT_FAILED",
    message: /^web01 \(127\.0\.0\.1:\d+\) refused the connection/,
  },
  {
    what: "no answer",
    fleet: { faults: () => ({ kind: "hang" }) },
    options: () => ({ connectTimeoutMs: 1_000 }),
    code: "CONNECT_FAILED",
    message: /did not answer within 1 s$/,
  },
  {
    what: "a name nobody knows",
    host: { address: "nobody.invalid" },
    code: "CONNECT_FAILED",
    message: /^web01: Could not resolve hostname nobody\.invalid/,
  },
];

testSsh.each(REFUSALS)("$what", async ({ fleet, options, host, code, message }) => {
  const given = await site(fleet ?? {});
  const more = options?.(given.fleet) ?? {};
  const target = { ...given.host, connection: { ...given.host.connection, ...host } };
  const transports = await open([target], { ...given.options, connectRetries: 0, ...more });
  await expect(visit(transports, target)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message),
  });
});

testSsh("a password, and a wrong one, which is sent once", async () => {
  const given = await site({ passwords: [{ user, password: "it's $HOME" }] });
  const host = { ...given.host, connection: { ...given.host.connection, privateKeyFile: undefined } };
  const options = { ...given.options, sshConfig: scratch.write("config", "IdentityFile /none\n") };
  expect(await visit(await open([host], { ...options, password: "it's $HOME" }), host)).toBe("here\n");
  await expect(visit(await open([host], { ...options, password: "wrong" }), host)).rejects.toMatchObject({
    code: "AUTH_FAILED",
  });
});

testSsh("retries: severed before login, twice", async () => {
  const given = await site({ faults: () => ({ kind: "dropAfterBytes", bytes: 500, times: 2 }) });
  expect(await visit(await open([given.host], given.options), given.host)).toBe("here\n");
  expect(given.fleet.hosts[0]!.stats.connections).toBe(3);
});

testSsh.each([1, 2, 3])("through %i hosts in a row, keys checked with the same files", async (depth) => {
  const jumps = await startFleet({ count: depth, separateHostKeys: true });
  const given = await site({ authorizedKeys: [readFileSync(`${jumps.privateKeyPath}.pub`, "utf8")] });
  const names = ["one", "two", "three"].slice(0, depth);
  const sections = names.map(
    (name, index) =>
      `Host ${name}\n HostName 127.0.0.1\n Port ${jumps.hosts[index]!.port}\n IdentityFile ${jumps.privateKeyPath}\n`,
  );
  const sshConfig = scratch.write("with space/config 100%", sections.join(""));
  const host = { ...given.host, vars: { ansible_ssh_common_args: `-J ${names.join(",")}` } };
  const knownHostsFiles = [given.fleet.knownHostsPath, jumps.knownHostsPath];
  expect(await visit(await open([host], { ...given.options, sshConfig, knownHostsFiles }), host)).toBe(
    "here\n",
  );
  expect(jumps.hosts.map(({ stats }) => stats.connections)).toEqual(names.map(() => 1));
  const without = await open([host], { ...given.options, sshConfig, connectRetries: 0 });
  await expect(visit(without, host)).rejects.toMatchObject({ code: "HOST_KEY_UNKNOWN" });
});

testSsh("ProxyCommand: chosen by itself, and said once for all hosts", async () => {
  const fleet = await startFleet({ count: 3 });
  const hosts = hostsOf(fleet);
  const helper = scratch.write(
    "proxy.cjs",
    'const s = require("net").connect(+process.argv[3], process.argv[2]); process.stdin.pipe(s); s.pipe(process.stdout);',
  );
  const sshConfig = scratch.write(
    "config",
    `Host 127.0.0.1\n ProxyCommand ${process.execPath} ${helper} %h %p\n`,
  );
  const transports = await open(hosts, { sshConfig, knownHostsFiles: [fleet.knownHostsPath] });
  expect(transports.notes).toEqual([
    { host: "web01", text: "reached with OpenSSH's ssh: ProxyCommand is set; so are 2 more hosts" },
  ]);
  expect(await Promise.all(hosts.map((host) => visit(transports, host)))).toEqual([
    "here\n",
    "here\n",
    "here\n",
  ]);
  const forced = await open(hosts, { sshConfig, knownHostsFiles: [fleet.knownHostsPath], transport: "ssh2" });
  await expect(visit(forced, hosts[0]!)).rejects.toMatchObject({
    code: "CONNECT_FAILED",
    message: expect.stringContaining("ProxyCommand"),
  });
});

testSsh("there is no ssh", async () => {
  const given = await site();
  const before = process.env.PATH;
  process.env.PATH = scratch.path("empty");
  try {
    await expect(connect(given)).rejects.toMatchObject({
      code: "CONNECT_FAILED",
      message: "web01: there is no ssh on this machine",
    });
  } finally {
    process.env.PATH = before;
  }
});

testSsh("connecting is cancelled", async () => {
  const given = await site({ faults: () => ({ kind: "hang" }) });
  const { endpoint, transport } = (await open([given.host], given.options)).of(given.host);
  const cancel = new AbortController();
  const connecting = transport.connect(endpoint, cancel.signal);
  connecting.catch(() => {});
  await expect.poll(() => given.fleet.hosts[0]!.stats.openConnections).toBe(1);
  cancel.abort();
  await expect(connecting).rejects.toMatchObject({ code: "CANCELLED" });
  await expect.poll(() => given.fleet.hosts[0]!.stats.openConnections).toBe(0);
});

testSsh("an argument that ssh does not know is told as such", async () => {
  const given = await site();
  const host = makeHost("web01", given.host.connection, { ansible_ssh_extra_args: "-o NoSuchOption=1" });
  await expect(visit(await open([host], given.options), host)).rejects.toMatchObject({
    code: "USAGE",
    message: expect.stringContaining("Bad configuration option: nosuchoption"),
  });
});
