import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { type ReachedHost, toAnsibleInventory } from "../../src/compare/road.ts";
import { openReach } from "../../src/controller/prepare/reach.ts";
import { loadInventory } from "../../src/inventory/load.ts";

it("is read back as the same hosts and groups, reached through proxies under their own keys", async () => {
  const directory = mkdtempSync(join(tmpdir(), "volley-inventory-"));
  try {
    const read = (path: string) =>
      loadInventory([path], { cwd: directory, loadModule: () => Promise.reject(new Error("no module")) });
    const original = join(directory, "hosts.yaml");
    writeFileSync(
      original,
      `web: { hosts: { web1: { ansible_host: 10.0.0.1, ansible_user: ann }, web2: { ansible_host: 10.0.0.2, ansible_port: 2222 } } }
all: { children: { web: }, hosts: { here: { ansible_connection: local } } }
`,
    );
    const { hosts } = await read(original);
    const reach = openReach(
      { sshConfig: "none", user: "root", knownHostsFiles: ["/tmp/my hosts"] },
      false,
      new AbortController().signal,
    );
    const reached = await Promise.all(
      [...hosts.values()].map(async (host, index): Promise<ReachedHost> => {
        if (host.connection.connection === "local")
          return { host, endpoint: undefined, proxyPort: undefined };
        return { host, endpoint: await reach.endpointOf(host), proxyPort: 40_000 + index };
      }),
    );
    const written = join(directory, "proxied.yaml");
    writeFileSync(written, toAnsibleInventory(reached));

    const again = await read(written);
    expect(again.groups.get("web")?.hosts).toEqual(["web1", "web2"]);
    expect(again.hosts.get("here")?.connection.connection).toBe("local");
    const endpoints = await Promise.all(
      ["web1", "web2"].map((name) => reach.endpointOf(again.hosts.get(name)!)),
    );
    const ports = reached.flatMap(({ proxyPort }) => (proxyPort === undefined ? [] : [proxyPort]));
    expect(endpoints.map(({ address, port, user }) => [address, port, user])).toEqual([
      ["127.0.0.1", ports[0], "ann"],
      ["127.0.0.1", ports[1], "root"],
    ]);
    expect(endpoints.map(({ ssh }) => ssh?.hostKeyAlias)).toEqual(["10.0.0.1", "[10.0.0.2]:2222"]);
    expect(endpoints.map(({ ssh }) => ssh?.needsOpenSsh)).toEqual([undefined, undefined]);
    expect(again.hosts.get("web1")?.vars.ansible_ssh_common_args).toContain(
      `'UserKnownHostsFile="/tmp/my hosts"'`,
    );

    // Behind a jump host there is no proxy of its own: it is reached as before.
    const plain = join(directory, "plain.yaml");
    writeFileSync(plain, toAnsibleInventory(reached.map((each) => ({ ...each, proxyPort: undefined }))));
    const untouched = (await read(plain)).hosts;
    expect(untouched.get("web2")?.connection).toMatchObject({
      address: "10.0.0.2",
      port: 2222,
      user: "root",
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
