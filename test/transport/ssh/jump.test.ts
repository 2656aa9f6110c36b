import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import type { EmbeddedFleet, EmbeddedHost } from "../../../src/embedded/options.ts";
import { connectTo, fleetStarter, hostsOf, makeHost, transportsOpener, visit } from "../lib/reach.ts";
import { scratchHome } from "../lib/scratch.ts";

const scratch = scratchHome();
const startFleet = fleetStarter();
const open = transportsOpener();

/** The ssh_config of jump hosts, by their names. */
function configOf(fleet: EmbeddedFleet, names: Readonly<Record<string, EmbeddedHost>>, more = ""): string {
  const sections = Object.entries(names).map(
    ([name, { address, port }]) =>
      `Host ${name}\n HostName ${address}\n Port ${port}\n User ${fleet.user}\n IdentityFile ${fleet.privateKeyPath}\n IdentitiesOnly yes\n`,
  );
  return scratch.write("config", `${more}${sections.join("")}`);
}

test.each([1, 2, 3])("through %i hosts in a row: one login each, for all behind them", async (depth) => {
  const jumps = await startFleet({ count: depth, separateHostKeys: true });
  const fleet = await startFleet({
    count: 10,
    authorizedKeys: [readFileSync(`${jumps.privateKeyPath}.pub`, "utf8")],
  });
  const names = ["one", "two", "three"].slice(0, depth);
  const config = configOf(jumps, Object.fromEntries(names.map((name, index) => [name, jumps.hosts[index]!])));
  const hosts = hostsOf(fleet).map((host) => ({
    ...host,
    vars: { ansible_ssh_common_args: `-J ${names.join(",")}` },
  }));
  const transports = await open(hosts, {
    sshConfig: config,
    knownHostsFiles: [fleet.knownHostsPath, jumps.knownHostsPath],
  });
  const said = await Promise.all(
    hosts.map((host) => visit(transports, host, 'echo "$VOLLEY_EMBEDDED_HOST"')),
  );
  expect(said).toEqual(hosts.map(({ name }) => `${name}\n`));
  expect(jumps.hosts.map(({ stats }) => stats.connections)).toEqual(names.map(() => 1));
  expect(fleet.hosts.map(({ stats }) => stats.connections)).toEqual(hosts.map(() => 1));
  expect(jumps.hosts.map(({ stats }) => stats.execs)).toEqual(names.map(() => 0));
  transports.close();
  await expect.poll(() => jumps.hosts.map(({ stats }) => stats.openConnections)).toEqual(names.map(() => 0));
});

test("chains that begin alike share their beginning", async () => {
  const jumps = await startFleet({ count: 3 });
  const fleet = await startFleet({ count: 2 });
  const [one, two, three] = jumps.hosts;
  const config = configOf(jumps, { one: one!, two: two!, three: three! });
  const hosts = hostsOf(fleet).map((host, index) => ({
    ...host,
    vars: { ansible_ssh_common_args: index === 0 ? "-J one,two" : "-J one,three" },
  }));
  const transports = await open(hosts, {
    sshConfig: config,
    knownHostsFiles: [fleet.knownHostsPath, jumps.knownHostsPath],
  });
  await Promise.all(hosts.map((host) => visit(transports, host)));
  expect(jumps.hosts.map(({ stats }) => stats.connections)).toEqual([1, 1, 1]);
});

test("the key of the host behind is good for the host on the way", async () => {
  const fleet = await startFleet({ count: 2 });
  const [jump, target] = fleet.hosts;
  const host = makeHost(
    "target",
    { address: target!.address, port: target!.port, user: fleet.user, privateKeyFile: fleet.privateKeyPath },
    {
      ansible_ssh_common_args: `-J ${fleet.user}@${jump!.address}:${jump!.port}`,
    },
  );
  expect(await visit(await open([host], { knownHostsFiles: [fleet.knownHostsPath] }), host)).toBe("here\n");
});

async function through(
  jumps: EmbeddedFleet,
  fleet: EmbeddedFleet,
  knownHostsFiles: readonly string[],
): Promise<unknown> {
  const config = configOf(jumps, { one: jumps.hosts[0]!, two: jumps.hosts[1]! });
  const host = { ...hostsOf(fleet)[0]!, vars: { ansible_ssh_common_args: "-J one,two" } };
  const transports = await open([host], { sshConfig: config, knownHostsFiles, connectRetries: 0 });
  return await visit(transports, host).catch((thrown: unknown) => thrown);
}

test("a hop whose key is not known is refused, and named", async () => {
  const jumps = await startFleet({ count: 2, separateHostKeys: true });
  const fleet = await startFleet();
  const known = scratch.write("known", readFileSync(jumps.knownHostsPath, "utf8").split("\n")[0]!);
  expect(await through(jumps, fleet, [known])).toMatchObject({
    code: "HOST_KEY_UNKNOWN",
    message: expect.stringMatching(
      /^web01: on the way there, two: its key ssh-ed25519 SHA256:\S+ is not in known_hosts$/,
    ),
  });
  expect(fleet.hosts[0]!.stats.connections).toBe(0);
});

test("a hop that presents another key is refused, before anything is behind it", async () => {
  const jumps = await startFleet({
    count: 2,
    faults: (index) => (index === 0 ? { kind: "wrongHostKey" } : undefined),
  });
  const fleet = await startFleet();
  expect(await through(jumps, fleet, [jumps.knownHostsPath, fleet.knownHostsPath])).toMatchObject({
    code: "HOST_KEY_CHANGED",
    message: expect.stringMatching(/^web01: on the way there, one: the host key has changed/),
  });
  expect(jumps.hosts[1]!.stats.connections).toBe(0);
});

test("a hop that lets nobody in, a hop that is not there, and a target that is not there", async () => {
  const closed = await startFleet({
    count: 2,
    faults: (index) => (index === 1 ? { kind: "rejectAuth" } : undefined),
  });
  const fleet = await startFleet();
  const known = (jumps: EmbeddedFleet): readonly string[] => [jumps.knownHostsPath, fleet.knownHostsPath];
  expect(await through(closed, fleet, known(closed))).toMatchObject({
    code: "AUTH_FAILED",
    message: expect.stringMatching(/^web01: on the way there, two accepted none of the keys/),
  });
  const refusing = await startFleet({
    count: 2,
    faults: (index) => (index === 0 ? { kind: "refuse" } : undefined),
  });
  expect(await through(refusing, fleet, known(refusing))).toMatchObject({
    code: "CONNECT_FAILED",
    message: expect.stringMatching(
      /^web01: on the way there, one \(127\.0\.0\.1:\d+\) refused the connection/,
    ),
  });
  const jumps = await startFleet({ count: 2 });
  const gone = await startFleet({ faults: () => ({ kind: "refuse" }) });
  expect(await through(jumps, gone, [jumps.knownHostsPath, gone.knownHostsPath])).toMatchObject({
    code: "CONNECT_FAILED",
    message: expect.stringMatching(/^web01 \(127\.0\.0\.1:\d+\) cannot be reached from two/),
  });
});

test("many hosts behind a hop that lets nobody in ask it once", async () => {
  const jumps = await startFleet({ faults: () => ({ kind: "rejectAuth" }) });
  const fleet = await startFleet({ count: 20 });
  const config = configOf(jumps, { one: jumps.hosts[0]! });
  const hosts = hostsOf(fleet).map((host) => ({ ...host, vars: { ansible_ssh_common_args: "-J one" } }));
  const transports = await open(hosts, { sshConfig: config, knownHostsFiles: [jumps.knownHostsPath] });
  const errors = await Promise.all(
    hosts.map((host) => visit(transports, host).catch((thrown: Error) => thrown.message)),
  );
  expect(errors.every((message) => message.includes("on the way there, one accepted none of the keys"))).toBe(
    true,
  );
  expect(jumps.hosts[0]!.stats.connections).toBe(1);
});

test("a hop that is lost takes those behind it along; the next connection logs in again", async () => {
  const jumps = await startFleet();
  const fleet = await startFleet({ count: 2 });
  const config = configOf(jumps, { one: jumps.hosts[0]! });
  const hosts = hostsOf(fleet).map((host) => ({ ...host, vars: { ansible_ssh_common_args: "-J one" } }));
  const transports = await open(hosts, {
    sshConfig: config,
    knownHostsFiles: [jumps.knownHostsPath, fleet.knownHostsPath],
  });
  const connections = await Promise.all(hosts.map((host) => connectTo(transports, host)));
  jumps.hosts[0]!.dropConnections();
  for (const connection of connections) expect(await connection.closed).toEqual(expect.any(String));
  expect(await visit(transports, hosts[0]!)).toBe("here\n");
  expect(jumps.hosts[0]!.stats.connections).toBe(2);
});

test("cancelling one host leaves the login to the hop to the others", async () => {
  const jumps = await startFleet({ faults: () => ({ kind: "slow", delayMs: 50 }) });
  const fleet = await startFleet({ count: 2 });
  const config = configOf(jumps, { one: jumps.hosts[0]! });
  const hosts = hostsOf(fleet).map((host) => ({ ...host, vars: { ansible_ssh_common_args: "-J one" } }));
  const transports = await open(hosts, {
    sshConfig: config,
    knownHostsFiles: [jumps.knownHostsPath, fleet.knownHostsPath],
  });
  const cancel = new AbortController();
  const { endpoint, transport } = transports.of(hosts[0]!);
  const cancelled = transport.connect(endpoint, cancel.signal);
  const other = visit(transports, hosts[1]!);
  cancel.abort();
  await expect(cancelled).rejects.toMatchObject({ code: "CANCELLED" });
  expect(await other).toBe("here\n");
});

test("a target that accepts and says nothing, behind a hop: within the time limit", async () => {
  const silent = createServer(() => {}).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const jumps = await startFleet();
  const { port } = silent.address() as { readonly port: number };
  const config = configOf(jumps, { one: jumps.hosts[0]! });
  const host = makeHost(
    "silent",
    { address: "127.0.0.1", port, privateKeyFile: jumps.privateKeyPath },
    { ansible_ssh_common_args: "-J one" },
  );
  try {
    const transports = await open([host], {
      sshConfig: config,
      knownHostsFiles: [jumps.knownHostsPath],
      connectTimeoutMs: 500,
      connectRetries: 0,
    });
    await expect(visit(transports, host)).rejects.toMatchObject({
      code: "CONNECT_FAILED",
      message: expect.stringMatching(/did not answer within 0.5 s$/),
    });
  } finally {
    silent.close();
  }
});
