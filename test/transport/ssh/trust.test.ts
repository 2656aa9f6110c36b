import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { UnknownHostKey } from "../../../src/controller/prepare/reach.ts";
import { trustHosts } from "../../../src/controller/prepare/trust.ts";
import type { Host, Inventory } from "../../../src/core/inventory.ts";
import type { EmbeddedFleet } from "../../../src/embedded/options.ts";
import { openKnownHosts } from "../../../src/transport/ssh/known-hosts.ts";
import { fleetStarter, hostsOf, makeHost, transportsOpener, visit } from "../lib/reach.ts";
import { scratchHome } from "../lib/scratch.ts";

const scratch = scratchHome();
const startFleet = fleetStarter();
const open = transportsOpener();

function asker(answer: boolean): {
  readonly asked: (readonly UnknownHostKey[])[];
  readonly askHostKeys: (keys: readonly UnknownHostKey[]) => Promise<boolean>;
} {
  const asked: (readonly UnknownHostKey[])[] = [];
  return {
    asked,
    askHostKeys: async (keys) => {
      asked.push(keys);
      return answer;
    },
  };
}

function shownBy(fleet: EmbeddedFleet, file: string): readonly UnknownHostKey[] {
  return fleet.hosts.map(({ name, port, hostKeyFingerprint }) => ({
    host: name,
    name: `[127.0.0.1]:${port}`,
    type: "ssh-ed25519",
    fingerprint: hostKeyFingerprint,
    file,
  }));
}

test("all unknown keys are asked about at once, before the first login; then they are known", async () => {
  const fleet = await startFleet({ count: 5, separateHostKeys: true });
  const known = scratch.path("new/known_hosts");
  const hosts = hostsOf(fleet);
  const { asked, askHostKeys } = asker(true);
  const transports = await open(hosts, { knownHostsFiles: [known], askHostKeys });
  expect(asked).toEqual([shownBy(fleet, known)]);
  expect(await Promise.all(hosts.map((host) => visit(transports, host)))).toEqual(hosts.map(() => "here\n"));
  expect(readFileSync(known, "utf8").split("\n")).toHaveLength(6);
  await open(hosts, { knownHostsFiles: [known], askHostKeys });
  expect(asked).toHaveLength(1);
});

test("only those that are not known are fetched", async () => {
  const fleet = await startFleet({ count: 3, separateHostKeys: true });
  const lines = readFileSync(fleet.knownHostsPath, "utf8").trim().split("\n");
  const known = scratch.write("known", `${lines[0]}\n${lines[2]}\n`);
  const { asked, askHostKeys } = asker(true);
  await open(hostsOf(fleet), { knownHostsFiles: [known], askHostKeys });
  expect(asked.map((keys) => keys.map(({ host }) => host))).toEqual([["web02"]]);
  expect(fleet.hosts.map(({ stats }) => stats.connections)).toEqual([0, 1, 0]);
});

test("refused: nothing is added, and the hosts are refused", async () => {
  const fleet = await startFleet({ count: 2 });
  const hosts = hostsOf(fleet);
  const known = scratch.path("known");
  const { askHostKeys } = asker(false);
  const transports = await open(hosts, { knownHostsFiles: [known], askHostKeys });
  await expect(visit(transports, hosts[0]!)).rejects.toMatchObject({ code: "HOST_KEY_UNKNOWN" });
  expect(() => readFileSync(known)).toThrow();
});

test.each(["strict", "accept-new", "off"] as const)(
  "nobody is asked with --host-keys %s",
  async (hostKeys) => {
    const fleet = await startFleet();
    const { asked, askHostKeys } = asker(true);
    await open(hostsOf(fleet), { knownHostsFiles: [scratch.path("known")], hostKeys, askHostKeys });
    expect(asked).toEqual([]);
  },
);

test("a key that has changed is no question", async () => {
  const fleet = await startFleet({ faults: () => ({ kind: "wrongHostKey" }) });
  const hosts = hostsOf(fleet);
  const { asked, askHostKeys } = asker(true);
  const transports = await open(hosts, { knownHostsFiles: [fleet.knownHostsPath], askHostKeys });
  expect(asked).toEqual([]);
  await expect(visit(transports, hosts[0]!)).rejects.toMatchObject({ code: "HOST_KEY_CHANGED" });
});

test("hosts on the way are asked about first, those behind them next", async () => {
  const jumps = await startFleet({ names: () => "gate" });
  const fleet = await startFleet({ count: 2, separateHostKeys: true });
  const sshConfig = scratch.write(
    "config",
    `Host gate\n HostName 127.0.0.1\n Port ${jumps.hosts[0]!.port}\n IdentityFile ${jumps.privateKeyPath}\n`,
  );
  const hosts = hostsOf(fleet).map((host) => ({ ...host, vars: { ansible_ssh_common_args: "-J gate" } }));
  const { asked, askHostKeys } = asker(true);
  const transports = await open(hosts, { sshConfig, knownHostsFiles: [scratch.path("known")], askHostKeys });
  expect(asked.map((keys) => keys.map(({ host }) => host))).toEqual([["gate"], ["web01", "web02"]]);
  expect(await visit(transports, hosts[0]!)).toBe("here\n");
  expect(jumps.hosts[0]!.stats.connections).toBe(2);
});

test("a host under an alias is looked up, and learned, by the alias", async () => {
  const fleet = await startFleet({ count: 2 });
  const known = scratch.path("known");
  const sshConfig = scratch.write("config", "HostKeyAlias fleet\n");
  const { asked, askHostKeys } = asker(true);
  const hosts = hostsOf(fleet);
  const transports = await open(hosts, { sshConfig, knownHostsFiles: [known], askHostKeys });
  expect(asked.map((keys) => keys.map(({ name }) => name))).toEqual([["fleet"]]);
  expect(readFileSync(known, "utf8")).toMatch(/^fleet ssh-ed25519 \S+\n$/);
  expect(await Promise.all(hosts.map((host) => visit(transports, host)))).toEqual(["here\n", "here\n"]);
});

test("HashKnownHosts hides names in what is added", async () => {
  const fleet = await startFleet();
  const known = scratch.path("known");
  const { askHostKeys } = asker(true);
  await open(hostsOf(fleet), {
    sshConfig: scratch.write("config", "HashKnownHosts yes\n"),
    knownHostsFiles: [known],
    askHostKeys,
  });
  expect(readFileSync(known, "utf8")).toMatch(/^\|1\|\S+\|\S+ ssh-ed25519 \S+\n$/);
  expect(openKnownHosts([known]).keyTypes("127.0.0.1", fleet.hosts[0]!.port)).toEqual(["ssh-ed25519"]);
});

test("@cert-authority lines: refused with ssh2, said which line; chosen for OpenSSH by itself", async () => {
  const fleet = await startFleet();
  const [host] = hostsOf(fleet);
  const key = readFileSync(fleet.knownHostsPath, "utf8").split(" ").slice(1).join(" ");
  const known = scratch.write("known", `@cert-authority * ${key}`);
  const { asked, askHostKeys } = asker(true);
  for (const hostKeys of ["strict", "accept-new", "ask"] as const) {
    const transports = await open([host!], {
      knownHostsFiles: [known],
      askHostKeys,
      hostKeys,
      transport: "ssh2",
    });
    await expect(visit(transports, host!)).rejects.toMatchObject({
      code: "HOST_KEY_UNKNOWN",
      message: `web01: only a certificate can vouch for it (${known}:1), and ssh2 checks none`,
      hint: expect.stringContaining("--transport openssh"),
    });
  }
  expect(asked).toEqual([]);
  const { notes } = await open([host!], { knownHostsFiles: [known] });
  expect(notes).toEqual([
    {
      host: "web01",
      text: "reached with OpenSSH's ssh: only a certificate vouches for its key (@cert-authority)",
    },
  ]);
});

function inventoryOf(hosts: readonly Host[]): Inventory {
  const names = hosts.map(({ name }) => name);
  return {
    hosts: new Map(hosts.map((host) => [host.name, host])),
    groups: new Map([["all", { name: "all", hosts: names, directHosts: names, children: [], vars: {} }]]),
    paths: [],
  };
}

test("trustHosts learns what is not known, leaves what is, and tells who is silent", async () => {
  const fleet = await startFleet({
    count: 4,
    separateHostKeys: true,
    faults: (index) => (index === 2 ? { kind: "refuse" } : undefined),
  });
  const [first] = readFileSync(fleet.knownHostsPath, "utf8").split("\n");
  const known = scratch.write("known", `${first}\n`);
  const command = makeHost(
    "proxied",
    { address: "192.0.2.1" },
    { ansible_ssh_common_args: "-o ProxyCommand='nc %h %p'" },
  );
  const options = {
    inventory: inventoryOf([...hostsOf(fleet), command]),
    knownHostsFiles: [known],
    sshConfig: "none",
  };
  const refusing = asker(false);
  expect(await trustHosts({ ...options, ...refusing })).toMatchObject({ added: [], known: 1 });
  expect(readFileSync(known, "utf8")).toBe(`${first}\n`);
  const { asked, askHostKeys } = asker(true);
  const { added, silent, skipped } = await trustHosts({ ...options, askHostKeys });
  expect(added.map(({ host }) => host)).toEqual(["web02", "web04"]);
  expect(asked).toEqual([added]);
  expect(silent.map(({ host }) => host)).toEqual(["web03"]);
  expect(skipped).toEqual([{ host: "proxied", reason: "ProxyCommand is set" }]);
  expect(readFileSync(known, "utf8").trim().split("\n")).toHaveLength(3);
  expect((await trustHosts({ ...options, askHostKeys, pattern: "web01,web02" })).added).toEqual([]);
});

test("known_hosts in the home, where nothing else is said", async () => {
  const fleet = await startFleet();
  const { asked, askHostKeys } = asker(true);
  await open(hostsOf(fleet), { askHostKeys });
  expect(asked[0]?.[0]?.file).toBe(join(homedir(), ".ssh", "known_hosts"));
});
