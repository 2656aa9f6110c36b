import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { arch, hostname, release, totalmem, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { gatherFacts } from "../../src/agent/facts/gather.ts";
import { thisMachine } from "../../src/agent/facts/sources.ts";
import { zoneTimeAt } from "../../src/agent/facts/time.ts";
import { factVariables } from "../../src/engine/context.ts";
import { createLocalSystem } from "../../src/system/local/local-system.ts";
import { makeSandbox, snapshot } from "../actions/harness.ts";

function plant(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

const DEBIAN_GUEST: Readonly<Record<string, string>> = {
  "etc/os-release":
    'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nVERSION="12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n',
  "etc/debian_version": "12.5\n",
  "usr/bin/apt-get": "",
  "usr/bin/lsb_release": "",
  "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
  "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 web1.example.org web1 # this host\n",
  "etc/passwd": "root:x:0:0:root:/root:/bin/bash\ndeploy:x:1000:1001:Deploy,,,:/home/deploy:/bin/zsh\n",
  "etc/resolv.conf": "# made by hand\nnameserver 192.0.2.53\nsearch example.org\noptions timeout:1 rotate\n",
  "proc/sys/kernel/hostname": "web1\n",
  "proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
  "proc/sys/kernel/version": "#1 SMP Debian\n",
  "proc/sys/kernel/arch": "x86_64\n",
  "proc/1/comm": "systemd\n",
  "proc/1/cgroup": "0::/init.scope\n",
  "proc/uptime": "1234.56 2000.00\n",
  "proc/stat": "cpu 1 2 3\nbtime 1700000000\n",
  "proc/loadavg": "0.50 0.25 0.10 1/100 4242\n",
  "proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro quiet\n",
  "proc/cpuinfo": [0, 1, 2, 3]
    .map(
      (n) =>
        `processor\t: ${n}\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\nphysical id\t: ${n >> 1}\nsiblings\t: 2\ncpu cores\t: 1\n`,
    )
    .join("\n"),
  "proc/meminfo":
    "MemTotal:  2048000 kB\nMemFree:  1024000 kB\nBuffers: 1024 kB\nCached: 1024 kB\nSwapCached: 0 kB\nSwapTotal: 4096 kB\nSwapFree: 2048 kB\n",
  "proc/mounts":
    "proc /proc proc rw 0 0\n/dev/vda1 / ext4 rw,relatime 0 0\n/dev/vdb /mnt/my\\040disk xfs ro 0 0\nnas:/export /nas nfs4 rw 0 0\n",
  "proc/net/route":
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\nens3\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\nwg0\t00000000\t00000000\t0001\t0\t0\t50000\t00000000\nens3\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n",
  "proc/net/fib_trie":
    "Local:\n  |-- 127.0.0.1\n     /32 host LOCAL\n  |-- 192.0.2.2\n     /32 host LOCAL\n  |-- 192.0.2.255\n     /32 link BROADCAST\n",
  "proc/net/if_inet6":
    "20010db8000000000000000000000002 02 40 00 80     ens3\nfe80000000000000505400fffe000001 02 40 20 80     ens3\n00000000000000000000000000000001 01 80 10 80       lo\n",
  "proc/net/ipv6_route":
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     ens3\n",
  "sys/class/net/ens3/type": "1\n",
  "sys/class/net/ens3/address": "52:54:00:00:00:01\n",
  "sys/class/net/ens3/mtu": "1500\n",
  "sys/class/net/ens3/operstate": "up\n",
  "sys/class/net/ens3/flags": "0x1103\n",
  "sys/class/net/br-lan/type": "1\n",
  "sys/class/net/br-lan/address": "52:54:00:00:00:02\n",
  "sys/class/net/br-lan/mtu": "1500\n",
  "sys/class/net/br-lan/operstate": "down\n",
  "sys/class/net/br-lan/bridge/bridge_id": "8000\n",
  "sys/class/net/br-lan/brif/ens4/port_id": "0\n",
  "sys/class/net/lo/type": "772\n",
  "sys/class/net/lo/address": "00:00:00:00:00:00\n",
  "sys/class/net/lo/operstate": "unknown\n",
  "sys/class/net/bonding_masters": "\n",
  "sys/class/dmi/id/sys_vendor": "QEMU\n",
  "sys/class/dmi/id/product_name": "Standard PC (i440FX + PIIX, 1996)\n",
  "sys/class/dmi/id/chassis_type": "1\n",
};

describe("a planted Debian guest", () => {
  test("has the values Ansible's setup would give", async () => {
    using sandbox = makeSandbox();
    plant(sandbox.root, DEBIAN_GUEST);
    const before = snapshot(sandbox.root);
    const facts = await gatherFacts(sandbox.system, { LANG: "C", GONE: undefined });
    expect(snapshot(sandbox.root)).toEqual(before);
    expect(facts).toMatchObject({
      distribution: "Debian",
      distribution_version: "12",
      distribution_major_version: "12",
      distribution_minor_version: "5",
      distribution_release: "bookworm",
      os_family: "Debian",
      pkg_mgr: "apt",
      service_mgr: "systemd",
      lsb: {
        id: "Debian",
        release: "12",
        codename: "bookworm",
        description: "Debian GNU/Linux 12 (bookworm)",
      },
      hostname: "web1",
      fqdn: "web1.example.org",
      domain: "example.org",
      machine_id: "0123456789abcdef0123456789abcdef",
      kernel: "6.1.0-18-amd64",
      architecture: "x86_64",
      processor_count: 2,
      processor_cores: 1,
      processor_threads_per_core: 2,
      processor_vcpus: 4,
      memtotal_mb: 2000,
      memfree_mb: 1000,
      swaptotal_mb: 4,
      swapfree_mb: 2,
      uptime_seconds: 1234,
      loadavg: { "1m": 0.5, "5m": 0.25, "15m": 0.1 },
      virtualization_type: "kvm",
      virtualization_role: "guest",
      form_factor: "Other",
      cmdline: { root: "/dev/vda1", ro: true, quiet: true },
      env: { LANG: "C" },
      interfaces: ["br-lan", "ens3", "lo"],
      all_ipv4_addresses: ["192.0.2.2"],
      all_ipv6_addresses: ["2001:db8::2", "fe80::5054:ff:fe00:1"],
      dns: { nameservers: ["192.0.2.53"], search: ["example.org"], options: { timeout: "1", rotate: true } },
      selinux: { status: "disabled" },
      local: {},
      local_skipped: [],
    });
    expect(facts.default_ipv4).toEqual({
      interface: "ens3",
      alias: "ens3",
      gateway: "192.0.2.1",
      address: "192.0.2.2",
      broadcast: "192.0.2.255",
      netmask: "255.255.255.0",
      network: "192.0.2.0",
      prefix: "24",
      macaddress: "52:54:00:00:00:01",
      mtu: 1500,
      type: "ether",
    });
    expect(facts.default_ipv6).toMatchObject({
      interface: "ens3",
      gateway: "fe80::1",
      address: "2001:db8::2",
      prefix: "64",
    });
    expect(facts.network.ens3).toMatchObject({ active: true, promisc: true });
    expect(facts.network["br-lan"]).toMatchObject({ type: "bridge", active: false, interfaces: ["ens4"] });
    expect(facts.mounts.map(({ mount, fstype }) => [mount, fstype])).toEqual([
      ["/", "ext4"],
      ["/mnt/my disk", "xfs"],
      ["/nas", "nfs4"],
    ]);
    expect(facts.date_time).toMatchObject({
      epoch: "1700001234",
      iso8601: "2023-11-14T22:33:54Z",
      tz: "UTC",
      weekday: "Tuesday",
    });
  });

  test("gives templates each fact by both names, and interfaces by theirs", async () => {
    using sandbox = makeSandbox();
    plant(sandbox.root, DEBIAN_GUEST);
    const facts = await gatherFacts(sandbox.system, {});
    const variables = factVariables(facts);
    expect(variables.ansible_distribution).toBe("Debian");
    expect(variables.ansible_ens3).toEqual(facts.network.ens3);
    expect(variables.ansible_br_lan).toEqual(facts.network["br-lan"]);
    expect(variables.ansible_facts).toMatchObject({ os_family: "Debian", ens3: { device: "ens3" } });
    expect(variables).not.toHaveProperty("ansible_network");
  });

  test.each([
    ["UTC", "10:13:54", "UTC", "+0000"],
    ["CET-1CEST,M3.5.0,M10.5.0/3", "11:13:54", "CET", "+0100"],
    ["NZST-12NZDT,M9.5.0,M4.1.0/3", "23:13:54", "NZDT", "+1300"],
    ["<-03>3", "07:13:54", "-03", "-0300"],
  ])("has its clock in the zone %s", async (tz, time, name, offset) => {
    using sandbox = makeSandbox();
    plant(sandbox.root, { ...DEBIAN_GUEST, "proc/stat": "btime 1699955600\n" });
    const { date_time } = await gatherFacts(sandbox.system, { TZ: tz });
    expect(date_time).toMatchObject({ time, tz: name, tz_offset: offset });
  });
});

describe.runIf(existsSync("/usr/share/zoneinfo/Europe/Berlin"))("compiled time zones", () => {
  const moments = [
    "2024-01-15T12:00:00Z",
    "2024-07-15T12:00:00Z",
    "2026-10-25T00:59:59Z",
    "2026-10-25T01:00:00Z",
    "2060-07-01T00:00:00Z",
  ];
  test.each([
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "America/Sao_Paulo",
    "Pacific/Auckland",
    "UTC",
  ])("%s is where Node has it", (zone) => {
    const file = readFileSync(`/usr/share/zoneinfo/${zone}`);
    const format = new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "longOffset" });
    for (const moment of moments) {
      const shown =
        format.formatToParts(new Date(moment)).find(({ type }) => type === "timeZoneName")?.value ?? "";
      const [, sign = "+", hours = 0, minutes = 0] = /GMT(?:([-+])(\d+):(\d+))?/.exec(shown) ?? [];
      const expected = (sign === "-" ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60);
      expect(zoneTimeAt(file, Date.parse(moment) / 1000).offset, moment).toBe(expected);
    }
  });

  test("have the names of winter and summer", () => {
    const berlin = readFileSync("/usr/share/zoneinfo/Europe/Berlin");
    expect(zoneTimeAt(berlin, Date.parse("2024-01-15") / 1000)).toEqual({
      offset: 3600,
      name: "CET",
      summerName: "CEST",
    });
    expect(zoneTimeAt(berlin, Date.parse("2060-07-15") / 1000)).toEqual({
      offset: 7200,
      name: "CEST",
      summerName: "CEST",
    });
    expect(zoneTimeAt(Buffer.from("no zone"), 0).name).toBe("UTC");
  });
});

describe("other systems", () => {
  const release = async (os: string, files: Readonly<Record<string, string>> = {}) => {
    using sandbox = makeSandbox();
    plant(sandbox.root, { "etc/os-release": os, ...files });
    return await gatherFacts(sandbox.system, {});
  };

  test.each([
    [
      'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\nVERSION_CODENAME=jammy',
      "usr/bin/apt-get",
      "Ubuntu",
      "22.04",
      "jammy",
      "Debian",
      "apt",
    ],
    [
      'NAME="Rocky Linux"\nID="rocky"\nVERSION="9.3 (Blue Onyx)"\nVERSION_ID="9.3"',
      "usr/bin/dnf",
      "Rocky",
      "9.3",
      "Blue Onyx",
      "RedHat",
      "dnf",
    ],
    [
      'NAME="CentOS Stream"\nID="centos"\nVERSION_ID="9"',
      "usr/bin/dnf",
      "CentOS",
      "9",
      "Stream",
      "RedHat",
      "dnf",
    ],
    [
      'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.19.1',
      "sbin/apk",
      "Alpine",
      "3.19.1",
      "NA",
      "Alpine",
      "apk",
    ],
    ['NAME="Arch Linux"\nID=arch', "usr/bin/pacman", "Archlinux", "rolling", "NA", "Archlinux", "pacman"],
    [
      'NAME="Acme OS"\nID=acme\nID_LIKE="rhel fedora"\nVERSION_ID=1',
      "usr/bin/yum",
      "Acme",
      "1",
      "NA",
      "RedHat",
      "yum",
    ],
  ])("%#: %s", async (os, manager, distribution, version, codename, family, packages) => {
    expect(await release(os, { [manager]: "" })).toMatchObject({
      distribution,
      distribution_version: version,
      distribution_release: codename,
      os_family: family,
      pkg_mgr: packages,
    });
  });

  test("a container is recognised before the machine below it", async () => {
    const facts = await release("ID=debian", {
      "proc/1/environ": "PATH=/bin\0container=podman\0",
      "sys/class/dmi/id/sys_vendor": "QEMU",
      "proc/1/comm": "sh",
    });
    expect(facts).toMatchObject({ virtualization_type: "podman", virtualization_role: "guest" });
    expect(facts.virtualization_tech_guest).toEqual(["podman", "kvm", "container"]);
  });

  test("a container of a kind that Ansible does not know is one all the same", async () => {
    const files = {
      "proc/1/environ": "container=systemd-nspawn\0",
      "run/systemd/container": "systemd-nspawn\n",
    };
    expect(await release("ID=debian", files)).toMatchObject({
      virtualization_type: "container",
      virtualization_tech_guest: ["container", "systemd-nspawn"],
    });
  });

  test("what is missing is not known, and nothing fails", async () => {
    using sandbox = makeSandbox();
    const facts = await gatherFacts(sandbox.system, {});
    expect(facts).toMatchObject({
      hostname: "localhost",
      interfaces: [],
      default_ipv4: {},
      mounts: [],
      virtualization_type: "NA",
    });
  });
});

test("local facts are read as JSON or INI; programs are named and left out; a broken one says so", async () => {
  using sandbox = makeSandbox();
  plant(sandbox.root, {
    "etc/ansible/facts.d/app.fact": '{"version": 3, "tags": ["a"]}',
    "etc/ansible/facts.d/site.fact": "; comment\n[Main]\nColour = blue\nurl: http://x/?a=b\n",
    "etc/ansible/facts.d/probe.fact": "#!/bin/sh\ntouch /tmp/ran\n",
    "etc/ansible/facts.d/broken.fact": "nonsense",
    "etc/ansible/facts.d/readme.txt": "no fact",
  });
  chmodSync(join(sandbox.root, "etc/ansible/facts.d/probe.fact"), 0o755);
  const { local, local_skipped } = await gatherFacts(sandbox.system, {});
  expect(local).toMatchObject({
    app: { version: 3, tags: ["a"] },
    site: { Main: { colour: "blue", url: "http://x/?a=b" } },
    broken: expect.stringContaining("neither JSON nor INI"),
  });
  expect(Object.keys(local)).toHaveLength(3);
  expect(local_skipped).toEqual(["/etc/ansible/facts.d/probe.fact"]);
});

test("python is known by the name its link points to", async () => {
  using sandbox = makeSandbox();
  plant(sandbox.root, { "usr/bin/python3.11": "" });
  symlinkSync("python3.11", join(sandbox.root, "usr/bin/python3"));
  expect(await gatherFacts(sandbox.system, {})).toMatchObject({
    python_version: "3.11",
    python: { version: { major: 3, minor: 11 } },
  });
});

test.runIf(process.platform === "linux")("on this machine they agree with what Node says of it", async () => {
  const system = createLocalSystem();
  const facts = await gatherFacts(system, process.env, thisMachine);
  system.close();
  expect(facts.nodename).toBe(hostname());
  expect(facts.kernel).toBe(release());
  expect(facts.memtotal_mb).toBe(Math.floor(totalmem() / 2 ** 20));
  expect(facts.user_id).toBe(userInfo().username);
  if (arch() === "x64") expect(facts.architecture).toBe("x86_64");
  expect(facts.mounts.find(({ mount }) => mount === "/")?.size_total ?? 1).toBeGreaterThan(0);
  expect(JSON.parse(JSON.stringify(facts))).toEqual(facts);
});
