import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { Client } from "ssh2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { controlGroupNames } from "./lib/cgroup.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import type { FleetHost } from "./lib/host.ts";
import { mountsBelow } from "./lib/overlay.ts";
import { startTime } from "./lib/process-table.ts";
import { hostPassword } from "./lib/recipe.ts";
import { fleetAvailable } from "./lib/requirements.ts";

describe.skipIf(!fleetAvailable())("a fleet of Debian hosts", () => {
  let fleet: Fleet;
  let first: FleetHost;
  let second: FleetHost;

  beforeAll(async () => {
    fleet = await bootFleet({ count: 2, withoutNode: [2] });
    first = fleet.hosts[0]!;
    second = fleet.hosts[1]!;
    console.log(`2 hosts up in ${fleet.times.bootMs} ms`);
  });
  afterAll(() => fleet?.stop());

  it("gives each host a systemd of its own, with no failed unit", async () => {
    for (const host of [first, second]) {
      expect((await host.exec(["cat", "/proc/1/comm"])).stdout).toBe("systemd\n");
      expect((await host.exec(["systemctl", "--failed", "--no-legend"])).stdout).toBe("");
      expect((await host.ssh("hostname")).stdout).toBe(`${host.name}\n`);
    }
    const idOf = (host: FleetHost) => readFileSync(join(host.root, "etc/machine-id"), "utf8");
    expect(idOf(first)).not.toBe(idOf(second));
  });

  it("lets in root, deploy, plain and pass by key, each with the rights it should have", async () => {
    expect((await first.ssh("id -u", { user: "root" })).stdout).toBe("0\n");
    expect((await first.ssh("sudo -n id -u")).stdout).toBe("0\n");
    expect((await first.ssh("getent passwd deploy | cut -d: -f7")).stdout).toBe("/bin/sh\n");

    expect((await first.ssh("sudo -n id -u", { user: "pass" })).code).not.toBe(0);
    const withPassword = { user: "pass", input: `${hostPassword}\n` };
    expect((await first.ssh("sudo -k -S id -u", withPassword)).stdout).toBe("0\n");
    expect((await first.exec(["sudo", "-l", "-U", "plain"])).stdout).toContain("not allowed to run sudo");
  });

  it("lets in pass by password, and deploy by nothing but the key", async () => {
    const login = (username: string) => {
      const client = new Client();
      const outcome = Promise.race([
        once(client, "ready").then(() => "ready"),
        once(client, "close").then(() => "closed"),
      ]);
      client.connect({ host: first.address, port: first.port, username, password: hostPassword });
      return outcome.finally(() => client.end());
    };
    expect(await login("pass")).toBe("ready");
    await expect(login("deploy")).rejects.toThrow("authentication methods failed");
  });

  it("has this machine's Node on the hosts that shall have it", async () => {
    expect((await first.ssh("node --version")).stdout).toBe(`${process.version}\n`);
    expect((await second.ssh("command -v node")).code).not.toBe(0);
  });

  it("installs a package from the mirror on one host and leaves the other alone", async () => {
    const update = await first.ssh("sudo apt-get -qq update");
    expect(update.code, update.stderr).toBe(0);
    const install = await first.ssh("sudo DEBIAN_FRONTEND=noninteractive apt-get -qq -y install hello");
    expect(install.code, install.stderr).toBe(0);
    expect((await first.ssh("hello")).stdout).toBe("Hello, world!\n");
    expect(existsSync(join(first.root, "usr/bin/hello"))).toBe(true);
    expect(existsSync(join(second.root, "usr/bin/hello"))).toBe(false);
    expect((await second.ssh("hello")).code).toBe(127);
  });

  it("keeps its services apart: stopping one host's leaves the other's", async () => {
    await first.exec(["systemctl", "stop", "cron"]);
    expect((await first.exec(["systemctl", "is-active", "cron"])).stdout).toBe("inactive\n");
    expect((await second.exec(["systemctl", "is-active", "cron"])).stdout).toBe("active\n");
  });

  it("describes itself as an inventory", () => {
    const { fleet: group } = parse(fleet.inventoryYaml({ user: "root" }));
    expect(group.vars.ansible_user).toBe("root");
    expect(readFileSync(group.vars.ansible_ssh_private_key_file, "utf8")).toContain("OPENSSH PRIVATE KEY");
    expect(group.hosts.fleet2).toEqual({ ansible_host: second.address, ansible_port: second.port });
  });

  it("reboots for real, and what was written is still there", async () => {
    const init = first.pid;
    await first.ssh("sudo tee /etc/kept", { input: "kept\n" });
    await first.reboot();
    expect(first.bootCount).toBe(2);
    expect(first.pid).not.toBe(init);
    expect((await first.ssh("cat /etc/kept")).stdout).toBe("kept\n");
  });

  it("hangs and goes on", async () => {
    second.freeze();
    await expect(second.ssh("true", { timeoutMs: 1500 })).rejects.toThrow(/abort|timeout/i);
    second.thaw();
    expect((await second.ssh("true")).code).toBe(0);

    second.freeze();
    await second.kill();
    await second.start();
    expect((await second.ssh("true")).code).toBe(0);
  });

  it("shuts down in order and starts again", async () => {
    await second.stop();
    expect(second.running).toBe(false);
    await second.start();
    expect((await second.ssh("hostname")).stdout).toBe("fleet2\n");
  });

  it("ends open connections when a host is killed, and boots next to another fleet", async () => {
    const session = second.ssh("exec sleep 600");
    await expect.poll(async () => (await second.exec(["pgrep", "-x", "sleep"])).code).toBe(0);
    await using other = await bootFleet({ count: 1 });
    expect(fleet.hosts.map((host) => host.address)).not.toContain(other.hosts[0]!.address);
    await second.kill();
    expect((await session).code).toBe(255);
    expect(second.running).toBe(false);
    await expect(second.exec(["true"])).rejects.toThrow("fleet2 is not running");
    expect((await second.ssh("true")).code).toBe(255);
    expect((await first.ssh("true")).code).toBe(0);
    expect((await other.hosts[0]!.ssh("hostname")).stdout).toBe("fleet1\n");
  });

  it("leaves nothing behind when a host does not come up in time", async () => {
    await expect(bootFleet({ count: 1, bootTimeoutMs: 1 })).rejects.toThrow("fleet1 is not up after 1 ms");
    const own = (id: string) => id.startsWith(`${process.pid}-`);
    expect(controlGroupNames().filter(own)).toEqual([basename(fleet.folder)]);
    expect(readdirSync(dirname(fleet.folder)).filter(own)).toEqual([basename(fleet.folder)]);
  });

  it("leaves nothing behind when stopped", async () => {
    const pids = fleet.hosts.flatMap((host) => host.pid ?? []);
    expect(pids).toHaveLength(1);
    expect(mountsBelow(fleet.folder)).toHaveLength(2);
    await fleet.stop();
    expect(pids.map(startTime)).toEqual([undefined]);
    expect(mountsBelow(fleet.folder)).toEqual([]);
    expect(existsSync(fleet.folder)).toBe(false);
    expect(controlGroupNames()).not.toContain(basename(fleet.folder));
  });
});
