import { homedir } from "node:os";
import { describe, expect, it } from "vitest";
import { openTransports } from "../../src/controller/prepare/transports.ts";
import type { ConnectionSettings, Host } from "../../src/core/inventory.ts";
import { bareHost, readConnection } from "../../src/inventory/connection.ts";
import type { Entry } from "../../src/inventory/draft.ts";
import { failure, load } from "./project.ts";

async function connect(
  vars: string,
  files: Readonly<Record<string, string>> = {},
): Promise<ConnectionSettings> {
  const inventory = await load({ "inv/hosts.yml": `all: {hosts: {web1.example.org: {${vars}}}}`, ...files }, [
    "inv",
  ]);
  return inventory.hosts.get("web1.example.org")!.connection;
}

describe("connection settings", () => {
  it("are left open where the inventory does not say", async () => {
    expect(await connect("")).toEqual({
      address: "web1.example.org",
      port: undefined,
      user: undefined,
      privateKeyFile: undefined,
      connection: "ssh",
      become: undefined,
      becomeMethod: undefined,
    });
  });

  it.each<[string, Partial<ConnectionSettings>]>([
    ["ansible_host: 10.0.0.1", { address: "10.0.0.1" }],
    ["ansible_ssh_host: 10.0.0.2, ansible_host: 10.0.0.1", { address: "10.0.0.2" }],
    ["ansible_host: '2001:db8::1'", { address: "2001:db8::1" }],
    ["ansible_host: '[2001:db8::1]'", { address: "2001:db8::1" }],
    ["ansible_host: ", { address: "web1.example.org" }],
    ["ansible_port: 2222", { port: 2222 }],
    ["ansible_ssh_port: '2222'", { port: 2222 }],
    ["ansible_user: deploy", { user: "deploy" }],
    ["volley_persist: 10m", { persistMs: 600_000 }],
    ["volley_persist: 90", { persistMs: 90_000 }],
    ["volley_persist: '{{ kept }}h', kept: 2", { persistMs: 7_200_000 }],
    ["volley_persist: false", { persistMs: 0 }],
    ["volley_persist: 'off'", { persistMs: 0 }],
    ["volley_persist: 0", { persistMs: 0 }],
    ["ansible_ssh_user: admin, ansible_user: deploy", { user: "admin" }],
    ["ansible_private_key_file: ~/.ssh/id", { privateKeyFile: `${homedir()}/.ssh/id` }],
    ["ansible_ssh_private_key_file: /keys/id", { privateKeyFile: "/keys/id" }],
    ["ansible_connection: local", { connection: "local" }],
    ["ansible_connection: ansible.builtin.ssh", { connection: "ssh" }],
    ["ansible_become: true", { become: "root" }],
    ["ansible_become: 'yes', ansible_become_user: app", { become: "app" }],
    ["ansible_become: 'No', ansible_become_user: app", { become: null }],
    ["ansible_become: off", { become: null }],
    ["ansible_become_user: app", { become: undefined }],
    ["ansible_become_method: su", { becomeMethod: "su" }],
    [
      "ansible_host: '{{ inventory_hostname_short }}.{{ net.zone }}', net: {zone: lan}",
      { address: "web1.lan" },
    ],
    ["ansible_port: '{{ p }}', p: '{{ q }}', q: 2222", { port: 2222 }],
    ["ansible_private_key_file: '{{ inventory_dir }}/k', inventory_dir: /x", { privateKeyFile: "/x/k" }],
  ])("%s", async (vars, expected) => {
    expect(await connect(vars)).toMatchObject(expected);
  });

  it("takes relative key paths from the inventory's directory, in vars files too", async () => {
    expect((await connect("ansible_private_key_file: keys/a")).privateKeyFile).toMatch(/\/inv\/keys\/a$/);
    const files = { "inv/group_vars/all.yml": "ansible_private_key_file: keys/b" };
    expect((await connect("", files)).privateKeyFile).toMatch(/\/inv\/keys\/b$/);
  });

  it("takes any kind of connection by default, and refuses the hosts that would need it", () => {
    const settings = (vars: ReadonlyMap<string, Entry>) =>
      readConnection({ host: "web1", vars, playbookDirectory: undefined, defaultConnection: "winrm" });
    expect(settings(new Map()).refused?.message).toBe(
      'host web1: Volley connects by ssh, local, docker, podman, lxd, incus, nspawn or chroot, not by "winrm"',
    );
    const source = { file: "hosts.yml", scope: "host web1" };
    const local = { value: "local", source, directory: "/" } as unknown as Entry;
    expect(settings(new Map([["ansible_connection", local]]))).toMatchObject({ connection: "local" });
  });

  it("lists a host whose connection Volley lacks, with the reason why it cannot be reached", async () => {
    const { refused, connection } = await connect("ansible_connection: winrm");
    expect(connection).toBe("ssh");
    expect(refused?.message).toBe(
      'ansible_connection of host web1.example.org: Volley connects by ssh, local, docker, podman, lxd, incus, nspawn or chroot, not by "winrm"',
    );
    await expect(openTransports([host("winrm")], {}, new AbortController().signal)).rejects.toThrow("winrm");
    const reached = await openTransports([host("local")], {}, new AbortController().signal);
    reached.close();

    function host(kind: string): Host {
      const { connection: given } = bareHost("web1", kind === "local" ? "local" : "ssh");
      return {
        ...bareHost("web1", "ssh"),
        connection: { ...given, ...(kind === "winrm" && refused !== undefined ? { refused } : {}) },
      };
    }
  });

  it.each([
    [
      "ansible_port: 0",
      "ansible_port of host web1.example.org: 0 is not a port; a port is a number from 1 to 65535",
    ],
    [
      "ansible_port: 22x",
      'ansible_port of host web1.example.org: "22x" is not a port; a port is a number from 1 to 65535',
    ],
    [
      "volley_persist: [90]",
      "volley_persist of host web1.example.org: must be a time above 0, of 24 days at most, such as 10m, 2h or 90 (seconds), or false, not [90]",
    ],
    [
      "volley_persist: true",
      "volley_persist of host web1.example.org: must be a time above 0, of 24 days at most, such as 10m, 2h or 90 (seconds), or false, not true",
    ],
    [
      "ansible_become: perhaps",
      'ansible_become of host web1.example.org: must be true or false, not "perhaps"',
    ],
    ["ansible_user: [a]", 'ansible_user of host web1.example.org: must be text, not ["a"]'],
    [
      "ansible_host: -oProxyCommand=x",
      'ansible_host of host web1.example.org: "-oProxyCommand=x" is not an address',
    ],
    ["ansible_host: 'a:22'", 'ansible_host of host web1.example.org: "a:22" is not an address'],
    [
      "ansible_host: '{{ nope }}'",
      'ansible_host of host web1.example.org: "{{ nope }}" cannot be filled in: nope is not set',
    ],
    [
      "ansible_host: '{{ a | lower }}'",
      'ansible_host of host web1.example.org: "{{ a | lower }}" cannot be filled in: only plain references such as {{ name }} can be used here',
    ],
    [
      "ansible_host: '{{ ansible_host }}'",
      'ansible_host of host web1.example.org: "{{ ansible_host }}" cannot be filled in: its vars refer to each other in a circle',
    ],
  ])("refuses %s", async (vars, message) => {
    expect(await failure(connect(vars))).toBe(`INVENTORY_INVALID inv/hosts.yml:1 ${message}`);
  });
});
