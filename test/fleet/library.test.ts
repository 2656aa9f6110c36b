import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect as connectSocket, createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { transform } from "esbuild";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import {
  type Fleet as Connected,
  type ConnectOptions,
  connect,
  HostsFailed,
  run,
} from "../../src/controller.ts";
import { copy, file, reboot, secret } from "../../src/index.ts";
import { type Held, held, nothingMore } from "../lib/held.ts";
import { PATIENT, until } from "../lib/patience.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import type { FleetHost } from "./lib/host.ts";
import { hostPassword } from "./lib/recipe.ts";
import { fleetAvailable } from "./lib/requirements.ts";
import { writeInventory } from "./lib/volley.ts";

// The uses that Fabric documents, by the library, on hosts with sshd, sudo and systemd.

describe.skipIf(!fleetAvailable())("a program's fleet of three Debian hosts", () => {
  let fleet: Fleet;
  let hosts: readonly [FleetHost, FleetHost, FleetHost];
  let before: Held;

  beforeAll(async () => {
    fleet = await bootFleet({ count: 3 });
    hosts = fleet.hosts as unknown as typeof hosts;
    // Its process builds playbooks, and stays.
    await transform("");
    vi.stubEnv("LIBRARY_TOKEN", "open sesame 1234");
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await fleet?.stop();
  });

  // Each test closes its fleet: nothing of it is left then, here and there.
  beforeEach(() => {
    before = held();
  });
  afterEach(async () => {
    await nothingMore(before);
    for (const host of hosts)
      await vi.waitFor(async () => expect(await processesOf(host)).toEqual([]), PATIENT);
  });

  /** The processes of the users that log in, and of root's that a test has named. */
  async function processesOf(host: FleetHost): Promise<readonly string[]> {
    const { stdout } = await host.exec(["ps", "-eo", "user=,args="]);
    return stdout
      .split("\n")
      .filter((line) => /^(?:deploy|pass|plain) |sleep 7\d\d\d|sshd: (?:deploy|pass|plain)/.test(line))
      .filter((line) => !/systemd --user|\(sd-pam\)/.test(line));
  }

  function open(
    options: ConnectOptions & { readonly vars?: Readonly<Record<string, unknown>> } = {},
  ): Promise<Connected> {
    const { vars, ...rest } = options;
    return connect("all", {
      inventory: writeInventory(fleet, vars === undefined ? {} : { vars }),
      knownHostsFiles: [fleet.knownHostsPath],
      sshConfig: "none",
      cwd: fleet.folder,
      ...rest,
    });
  }

  it("runs commands, and tells of each host how it ended", async () => {
    await using here = await open();
    const ended: string[] = [];
    for await (const { host, text: said, ok } of here.exec("uname -s")) {
      expect([said, ok]).toEqual(["Linux", true]);
      ended.push(host);
    }
    expect(ended.sort()).toEqual(["fleet1", "fleet2", "fleet3"]);
    const names = await here.exec(["hostname"]);
    expect([...names.values()].map(({ text: name }) => name)).toEqual(["fleet1", "fleet2", "fleet3"]);

    const results = await here.exec("case $(hostname) in fleet2) exit 3;; fleet3) kill -KILL $$;; esac");
    expect(results.failed.map(({ host, code, signal }) => [host, code, signal])).toEqual([
      ["fleet2", 3, undefined],
      ["fleet3", undefined, "KILL"],
    ]);
    expect(() => results.orThrow()).toThrow(HostsFailed);
    expect((await here.host("fleet1").exec("sleep 7001", { timeoutMs: 500 })).outcome).toBe("timedOut");
  });

  it("gives commands an environment, a directory, an input and signals", async () => {
    await using here = await open();
    const first = here.host("fleet1");
    const result = await first.exec('read -r line; echo "$line $COLOR $(pwd)"', {
      env: { COLOR: "it's red" },
      cwd: "/var/tmp",
      stdin: "from here\n",
    });
    expect(result.text).toBe("from here it's red /var/tmp");
    const odd = "/tmp/it's $HOME";
    expect((await first.sh`mkdir ${odd} && ls -d ${odd} && rmdir ${odd}`).text).toBe(odd);

    await using trap = await first.start("trap 'echo reloaded' HUP; echo ready; while :; do sleep 0.1; done");
    trap.stderr.resume();
    let seen = "";
    trap.stdout.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
    });
    await until(() => seen.includes("ready"));
    await trap.kill("HUP");
    await until(() => seen.includes("reloaded"));
    await trap.kill("KILL");
    expect((await trap.exit).signal).toBe("KILL");
  });

  it("becomes other users, with the password that sudo asks for", async () => {
    await using here = await open({ vars: { ansible_user: "pass" }, becomePassword: hostPassword });
    const results = await here.exec("id -un; echo 'correct horse'", { become: true });
    expect(results.fold()).toMatchObject([{ hosts: "fleet[1-3]", key: { stdout: "root\n********\n" } }]);
    const first = here.host("fleet1");
    expect((await first.exec("id -un", { become: "deploy" })).text).toBe("deploy");
    expect((await first.exec("id -un")).text).toBe("pass");

    // All of a command's processes end with it, also behind sudo; a secret is on no command line meanwhile.
    const token = secret.env("LIBRARY_TOKEN");
    await using process = await first.start("echo $TOKEN; sleep 7002; true", {
      become: true,
      env: { TOKEN: token },
    });
    process.stderr.resume();
    let seen = "";
    process.stdout.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
    });
    await until(() => seen === "open sesame 1234\n");
    const { stdout: all } = await hosts[0].exec(["ps", "-eo", "args="]);
    expect(all).toContain("sleep 7002");
    expect(all).not.toContain("sesame");
    await process.kill();
    await process.exit;

    await using wrong = await open({ vars: { ansible_user: "pass" }, becomePassword: "battery" });
    const [refused] = (await wrong.select("fleet1").exec("id", { become: true })).values();
    expect(refused).toMatchObject({ ok: false, error: { code: "BECOME_FAILED" } });
    await expect(wrong.host("fleet1").start("id", { become: true })).rejects.toMatchObject({
      code: "BECOME_FAILED",
    });
  });

  it("sends and fetches files, for other users too", async () => {
    const local = join(fleet.folder, "site");
    mkdirSync(join(local, "css"), { recursive: true });
    writeFileSync(join(local, "index.html"), "<h1>Hello</h1>\n");
    writeFileSync(join(local, "css/site.css"), "h1 { color: red }\n");
    await using here = await open();
    const sent = await here.put("site/", "/srv/site", { become: true });
    expect(sent.orThrow().foldBy(({ files }) => files.sent)).toMatchObject([
      { key: 2, names: { length: 3 } },
    ]);
    for (const { root } of hosts)
      expect(readFileSync(join(root, "srv/site/css/site.css"), "utf8")).toContain("red");
    expect(
      (await here.put("site/", "/srv/site", { become: true })).foldBy(({ files }) => files.sent),
    ).toMatchObject([{ key: 0 }]);
    await here.get("/etc/hostname", "fetched").orThrow();
    expect(readFileSync(join(fleet.folder, "fetched/fleet2/hostname"), "utf8")).toBe("fleet2\n");
    await here.host("fleet3").get("/etc/shadow", "of-root", { become: true });
    expect(existsSync(join(fleet.folder, "of-root/shadow"))).toBe(true);
  });

  it("reaches hosts through a gateway", async () => {
    const [gateway, inner] = hosts;
    await using here = await open({
      inventory: writeInventory(fleet, {
        hosts: { [inner.name]: { ansible_ssh_common_args: `-J deploy@${gateway.address}:${gateway.port}` } },
      }),
    });
    const host = here.host(inner.name);
    expect((await host.exec("hostname")).text).toBe(inner.name);
    expect((await processesOf(gateway)).filter((line) => line.includes("sshd: deploy"))).not.toEqual([]);
    expect((await host.exec("hostname")).text).toBe(inner.name);
  });

  it("forwards ports both ways, and as a SOCKS server", async () => {
    await using here = await open();
    const first = here.host("fleet1");
    const read = async (port: number, ask?: Buffer): Promise<string> => {
      const socket = connectSocket(port, "127.0.0.1");
      if (ask !== undefined) socket.write(ask);
      let seen = "";
      for await (const chunk of socket) {
        seen += (chunk as Buffer).toString("latin1");
        if (seen.includes("\n")) break;
      }
      socket.destroy();
      return seen;
    };
    const target = `${hosts[1].address}:${hosts[1].port}` as const;
    const local = await first.forward({ local: 0, to: target });
    expect(await read(local.port)).toMatch(/^SSH-2\.0-OpenSSH/);
    await local.close();
    await expect(read(local.port)).rejects.toMatchObject({ code: "ECONNREFUSED" });

    const server = createServer((socket) => socket.end("from here\n")).listen(0, "127.0.0.1");
    await until(() => server.listening);
    const { port } = server.address() as { readonly port: number };
    const remote = await first.forward({ remote: 0, to: `127.0.0.1:${port}` });
    const asked = await first.exec(["bash", "-c", `cat </dev/tcp/127.0.0.1/${remote.port}`]);
    expect(asked.text).toBe("from here");
    await new Promise((resolve) => server.close(resolve));

    const dynamic = await first.forward({ dynamic: 0 });
    const address = hosts[1].address.split(".").map(Number);
    const request = Buffer.from([5, 1, 0, 5, 1, 0, 1, ...address, hosts[1].port >> 8, hosts[1].port & 255]);
    expect(await read(dynamic.port, request)).toContain("SSH-2.0-OpenSSH");
    // A target that the host cannot reach is refused, and harms no other client.
    expect(await read(dynamic.port, Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 1]))).not.toContain(
      "SSH",
    );
    expect(await read(dynamic.port, request)).toContain("SSH-2.0-OpenSSH");
  });

  it("opens shells on terminals that can be resized", async () => {
    await using here = await open({ vars: { ansible_user: "pass" } });
    await using shell = await here.host("fleet2").shell({ columns: 101, rows: 31, term: "vt100" });
    let seen = "";
    shell.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
    });
    shell.write("echo $TERM; stty size\n");
    await until(() => seen.includes("31 101"));
    expect(seen).toContain("vt100");
    shell.resize({ columns: 77, rows: 22 });
    shell.write("stty size\n");
    await until(() => seen.includes("22 77"));
    shell.write("exit 5\n");
    expect((await shell.exit).code).toBe(5);
    shell.write("too late\n");

    // A shell of another user asks on its terminal.
    const other = await here.host("fleet2").shell({ become: true });
    let asked = "";
    other.on("data", (chunk: Buffer) => {
      asked += chunk.toString();
    });
    await until(() => asked.includes("password for pass"));
    other.write(`${hostPassword}\n`);
    // Sudo drops what is typed before it has read the password.
    await until(() => asked.includes("#"));
    other.write("id -un; exit\n");
    await other.exit;
    expect(asked).toMatch(/^root\r$/m);
    // Left open, closed with the fleet.
    await here.host("fleet2").shell();
  });

  it("connects again once sshd was restarted, or its connections were cut", async () => {
    await using here = await open();
    await here.exec("true").orThrow();
    const lost = here.exec("sleep 7003");
    await vi.waitFor(
      async () => expect(await processesOf(hosts[0])).toContain("deploy   sleep 7003"),
      PATIENT,
    );
    for (const host of hosts) {
      await host.exec(["systemctl", "restart", "ssh"]);
      await host.exec(["pkill", "-KILL", "-f", "sshd: deploy"]);
    }
    expect((await lost).foldBy(({ outcome, error }) => [outcome, error?.code])).toMatchObject([
      { key: ["lost", "CONNECTION_LOST"], names: { length: 3 } },
    ]);
    expect((await here.exec("echo back").orThrow()).fold()).toMatchObject([{ key: { stdout: "back\n" } }]);
    const applied = await here.apply(file({ path: "/var/tmp/again", state: "touch" })).orThrow();
    expect(applied.ok).toHaveLength(3);
    for (const host of hosts) await host.exec(["pkill", "-KILL", "-f", "sshd: deploy"]);
    const again = await here.apply(file({ path: "/var/tmp/again", state: "absent" }));
    expect(again.foldBy(({ state, error }) => [state, error?.message])).toMatchObject([
      { key: ["changed", undefined] },
    ]);
  });

  it("carries actions out, after it has shown what they would do", async () => {
    const motd = copy({
      content: "Authorized people only.\n",
      dest: "/etc/motd",
      owner: "root",
      mode: "0644",
    });
    await using here = await open({ become: true });
    const would = await here.apply(motd, { check: true });
    expect(would.foldBy(({ state }) => state)).toMatchObject([{ key: "changed", names: { length: 3 } }]);
    expect(JSON.stringify(would.get("fleet1")?.diff)).toContain("Authorized people only.");
    expect(readFileSync(join(hosts[0].root, "etc/motd"), "utf8")).not.toContain("Authorized");
    expect((await here.apply(motd)).foldBy(({ state }) => state)).toMatchObject([{ key: "changed" }]);
    expect((await here.apply(motd)).foldBy(({ state }) => state)).toMatchObject([
      { key: "unchanged", names: { length: 3 } },
    ]);
    const facts = await here.facts();
    expect(facts.foldBy((result) => result.facts?.distribution)).toMatchObject([{ key: "Debian" }]);
  });

  it("waits for a host that an action restarts", async () => {
    const [first] = hosts;
    const boots = first.bootCount;
    await using here = await open({ become: true });
    const result = await here.host(first.name).apply(reboot({ reboot_timeout: 300 }));
    expect([result.state, result.error]).toEqual(["changed", undefined]);
    expect(first.bootCount).toBe(boots + 1);
    expect((await here.exec("echo on").orThrow()).ok).toHaveLength(3);
  });

  it("lends its connections to a run", async () => {
    const playbook = join(fleet.folder, "site.yml");
    writeFileSync(
      playbook,
      "- hosts: all\n  become: true\n  tasks:\n    - name: Mark\n      copy: { content: run, dest: /var/tmp/mark }\n",
    );
    await using here = await open();
    await here.exec("true").orThrow();
    const running = run({ fleet: here, playbook, runtime: "never", logDirectory: false });
    const outcomes: string[] = [];
    for await (const event of running) if (event.type === "host:end") outcomes.push(event.outcome);
    expect(outcomes).toEqual(["ok", "ok", "ok"]);
    expect((await here.exec("cat /var/tmp/mark").orThrow()).fold()).toMatchObject([
      { key: { stdout: "run" } },
    ]);
  });

  it("ends all that goes on when it is closed", async () => {
    const here = await open({ become: true });
    const first = here.host("fleet1");
    const command = here.exec("sleep 7004");
    const started = await first.start("sleep 7005; true");
    const unread = await first.start("yes");
    await first.shell();
    await first.forward({ local: 0, to: `127.0.0.1:${hosts[0].port}` });
    const action = here.apply(file({ path: "/var/tmp/x", state: "touch" }));
    await vi.waitFor(async () => {
      for (const host of hosts) expect((await processesOf(host)).join()).toContain("sleep 7004");
    }, PATIENT);
    await Promise.all([here.close(), here.close()]);
    expect((await command).foldBy(({ outcome }) => outcome)).toMatchObject([{ key: "cancelled" }]);
    expect((await action).size).toBe(3);
    expect((await started.exit).code).toBeUndefined();
    expect((await unread.exit).code).toBeUndefined();
    expect(await text(started.stdout)).toBe("");
  });
});
