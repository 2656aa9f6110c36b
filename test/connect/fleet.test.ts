import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { connect as connectSocket, createServer } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ConnectOptions, connect, type Fleet, HostsFailed, run } from "../../src/controller.ts";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { copy, file, secret, template } from "../../src/index.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";
import { held, nothingMore } from "../lib/held.ts";
import { until } from "../lib/patience.ts";

const scratch = scratchDirectory();
let embedded: EmbeddedFleet;
let directory: string;

beforeAll(async () => {
  embedded = await startEmbeddedFleet({
    count: 3,
    faults: (index) => (index === 2 ? { kind: "maxSessions", sessions: 3 } : undefined),
  });
  directory = mkdtempSync(join(scratch(), "connect-"));
  writeFileSync(join(directory, "hosts.yaml"), embedded.inventoryYaml());
});
afterAll(async () => {
  await embedded.stop();
});

function open(pattern = "all", options: ConnectOptions = {}): Promise<Fleet> {
  return connect(pattern, {
    inventory: join(directory, "hosts.yaml"),
    sshConfig: "none",
    knownHostsFiles: [embedded.knownHostsPath],
    connectTimeoutMs: 60_000,
    cwd: directory,
    ...options,
  });
}

const logins = (): readonly number[] => embedded.hosts.map(({ stats }) => stats.connections);
const homeOf = (index: number): string => embedded.hosts[index]!.home;

describe("A fleet", () => {
  it("gives results as they come and all of them by host, over one connection of each host", async () => {
    const before = logins();
    {
      await using fleet = await open();
      expect(logins()).toEqual(before);
      const seen: string[] = [];
      for await (const { host, ok, text: said } of fleet.exec("echo $((6*7))")) {
        expect([ok, said]).toEqual([true, "42"]);
        seen.push(host);
      }
      expect(seen.sort()).toEqual(["web01", "web02", "web03"]);
      const all = await fleet.exec(["printf", "%s|", "a b", "$HOME"]);
      expect([...all.keys()]).toEqual(["web01", "web02", "web03"]);
      expect(all.fold()).toMatchObject([{ hosts: "web[01-03]", key: { stdout: "a b|$HOME|", code: 0 } }]);
      expect((await fleet.host("web02").exec("exit 3")).code).toBe(3);
    }
    expect(logins()).toEqual(before.map((count) => count + 1));
    await until(() => embedded.hosts.every(({ stats }) => stats.openConnections === 0));
  });

  it("tells failures as results, and throws them on demand", async () => {
    await using fleet = await open();
    const results = await fleet.exec(
      "case $HOME in *web02*) kill -TERM $$;; *web03*) echo no >&2; exit 4;; esac",
    );
    expect(results.ok.map(({ host }) => host)).toEqual(["web01"]);
    expect(results.failed).toMatchObject([
      { host: "web02", signal: "TERM", code: undefined },
      { host: "web03", code: 4, stderr: "no\n" },
    ]);
    expect(() => results.orThrow()).toThrow("2 of 3 hosts failed: web02: killed by TERM; web03: exit code 4");
    const failure = await fleet
      .exec("false")
      .orThrow()
      .catch((thrown: unknown) => thrown);
    expect(failure).toBeInstanceOf(HostsFailed);
    expect(failure).toMatchObject({ code: "HOSTS_FAILED", results: { size: 3 } });
    const late = await fleet.host("web01").exec("sleep 600", { timeoutMs: 50 });
    expect(late).toMatchObject({ ok: false, outcome: "timedOut", signal: "TERM" });
  });

  it("tells of hosts that are not reached beside those that are", async () => {
    await using fleet = await open("web01,gone", {
      inventory: [join(directory, "hosts.yaml"), withHost("gone ansible_host=127.0.0.1 ansible_port=1")],
      connectRetries: 0,
      privateKeyFile: embedded.privateKeyPath,
    });
    const results = await fleet.exec("true");
    expect(results.failed).toMatchObject([
      { host: "gone", outcome: "unreachable", error: { code: "CONNECT_FAILED" } },
    ]);
    expect((await fleet.apply(file({ path: "/", state: "directory" }))).failed).toMatchObject([
      { host: "gone", state: "failed", error: { code: "CONNECT_FAILED" } },
    ]);
    expect((await fleet.put("hosts.yaml", "x/")).failed).toMatchObject([{ host: "gone" }]);
  });

  it("connects again once a connection went", async () => {
    await using fleet = await open("web01");
    const [host] = fleet.hosts;
    await host!.exec("true");
    const [before] = logins();
    const broken = host!.exec("echo here; sleep 600");
    await until(() => embedded.hosts[0]!.stats.execs > 0);
    embedded.hosts[0]!.dropConnections();
    expect(await broken).toMatchObject({ outcome: "lost", error: { code: "CONNECTION_LOST" } });
    expect((await host!.exec("echo back")).text).toBe("back");
    expect(logins()[0]).toBe(before! + 1);
  });

  it("waits where a host grants no more sessions", async () => {
    await using fleet = await open("web03");
    const host = fleet.host("web03");
    const all = await Promise.all(Array.from({ length: 12 }, (_, index) => host.exec(`echo ${index}`)));
    expect(all.map(({ text: said }) => said)).toEqual(all.map((_result, index) => String(index)));
    expect((await host.apply(file({ path: "~/made", state: "directory" }))).state).toBe("changed");
    expect(existsSync(join(homeOf(2), "made"))).toBe(true);
  });

  it("is cancelled by a signal, by leaving the iteration, and by its end", async () => {
    const fleet = await open("web01,web02", { forks: 1 });
    const controller = new AbortController();
    const cancelled = fleet.exec("echo up; sleep 600", {
      signal: controller.signal,
      onOutput: () => void controller.abort(),
    });
    expect((await cancelled).failed).toMatchObject([{ outcome: "cancelled" }, { outcome: "cancelled" }]);
    for await (const { host } of fleet.exec("true")) {
      expect(host).toBe("web01");
      break;
    }
    const left = fleet.exec(`echo $$ >pid; exec sleep 601`);
    await until(() => existsSync(join(homeOf(0), "pid")));
    await fleet.close();
    expect((await left).failed).toHaveLength(2);
    const pid = Number(readFileSync(join(homeOf(0), "pid"), "utf8"));
    await until(() => !existsSync(`/proc/${pid}`));
    expect((await fleet.exec("true")).failed).toMatchObject([
      { outcome: "cancelled", error: { message: "web01: the fleet was closed" } },
      { outcome: "cancelled", error: { message: "web02: the fleet was closed" } },
    ]);
    await fleet.close();
  });

  it("quotes, feeds, bounds and masks", async () => {
    await using fleet = await open("web01");
    const host = fleet.host("web01");
    const path = `it's "$HOME" \`x\``;
    expect((await host.sh`printf '%s\n' ${path} ${["a b", 2]}`).stdout).toBe(`${path}\na b\n2\n`);
    expect((await host.exec("cat", { stdin: Readable.from(["some", "where"]) })).stdout).toBe("somewhere");
    expect(await host.exec("head -c 100000 /dev/zero | tr '\\0' x", { maxBytes: 10 })).toMatchObject({
      stdout: "x".repeat(10),
      truncated: true,
    });
    process.env.VOLLEY_TEST_TOKEN = "s3cr3t-t0ken";
    const told = await host.exec('echo "token $TOKEN"; cat >&2', {
      env: { TOKEN: secret.env("VOLLEY_TEST_TOKEN") },
      stdin: secret.env("VOLLEY_TEST_TOKEN"),
    });
    delete process.env.VOLLEY_TEST_TOKEN;
    expect([told.stdout, told.stderr]).toEqual(["token ********\n", "********"]);
    expect((await host.exec("pwd", { cwd: "/usr" })).text).toBe("/usr");
    expect((await host.exec("pwd", { cwd: "/nowhere" })).code).toBe(125);
    await expect(fleet.exec(" ")).rejects.toThrow("there is no command");
    await expect(fleet.exec("true", { timeoutMs: 2 ** 31 })).rejects.toThrow("timeoutMs must be a number");
    await expect(fleet.exec("x", { env: { "a-b": "" } })).rejects.toThrow('"a-b" is no name');
    expect(() => fleet.host("web1")).toThrow('the fleet has no host "web1"');
  });

  it("sends and fetches files", async () => {
    await using fleet = await open();
    mkdirSync(join(directory, "site/sub"), { recursive: true });
    writeFileSync(join(directory, "site/sub/page"), "hello");
    const files: string[] = [];
    const put = await fleet.put("site/", "www", {
      onFile: (host, { path }) => files.push(`${host} ${path}`),
    });
    expect(put.orThrow().get("web02")).toMatchObject({ ok: true, files: { sent: 1 } });
    expect(files).toHaveLength(9);
    expect(readFileSync(join(homeOf(1), "www/sub/page"), "utf8")).toBe("hello");
    (await fleet.get("www/sub/page", "got")).orThrow();
    expect(readFileSync(join(directory, "got/web03/page"), "utf8")).toBe("hello");
    await fleet.host("web01").get("www/", "flat");
    expect(readFileSync(join(directory, "flat/sub/page"), "utf8")).toBe("hello");
    await expect(fleet.put("missing", "x")).rejects.toThrow("missing");
  });

  it("carries actions out, in check mode, for real and again, and knows the facts", async () => {
    await using fleet = await open("web01,web02");
    mkdirSync(join(directory, "templates"), { recursive: true });
    writeFileSync(join(directory, "templates/motd.j2"), "{{ inventory_hostname }} {{ ansible_system }}\n");
    const motd = template({ src: "motd.j2", dest: "~/motd" });
    const foreseen = await fleet.apply(motd, { check: true });
    expect(foreseen.get("web02")).toMatchObject({ state: "changed", diff: [{ after: "web02 Linux\n" }] });
    expect(existsSync(join(homeOf(1), "motd"))).toBe(false);
    const states = async (): Promise<readonly string[]> =>
      [...(await fleet.apply(motd)).values()].map(({ state }) => state);
    expect(await states()).toEqual(["changed", "changed"]);
    expect(await states()).toEqual(["unchanged", "unchanged"]);
    expect(readFileSync(join(homeOf(1), "motd"), "utf8")).toBe("web02 Linux\n");
    const wrong = await fleet.host("web01").apply(copy({ src: "nowhere", dest: "~/x" }));
    expect(wrong).toMatchObject({ ok: false, state: "failed", error: { code: "ASSET_MISSING" } });
    const facts = await fleet.facts();
    expect(facts.foldBy(({ vars }) => vars.ansible_system)).toMatchObject([
      { hosts: "web[01-02]", key: "Linux" },
    ]);
  });

  it("streams both ways, and ends what it started", async () => {
    await using fleet = await open("web01");
    const host = fleet.host("web01");
    const upper = await host.start("tr a-z A-Z; echo done >&2; exit 5");
    const written = 3 << 20;
    const [said, complained] = await Promise.all([
      text(upper.stdout),
      text(upper.stderr),
      new Promise<void>((resolve) => {
        Readable.from(Array.from({ length: 48 }, () => "x".repeat(written / 48)))
          .pipe(upper.stdin)
          .once("finish", resolve);
      }),
    ]);
    expect([said.length, said.slice(0, 3), complained]).toEqual([written, "XXX", "done\n"]);
    expect(await upper.exit).toEqual({ code: 5, signal: undefined, lost: undefined });
    const pids: number[] = [];
    {
      await using sleeper = await host.start("echo $$; exec sleep 602");
      for await (const chunk of sleeper.stdout) {
        pids.push(Number(String(chunk)));
        break;
      }
    }
    await until(() => !existsSync(`/proc/${pids[0]}`));
  });

  it("has terminals and ports", async () => {
    await using fleet = await open("web01");
    const host = fleet.host("web01");
    const shell = await host.shell({ columns: 91, rows: 17 });
    shell.write("stty size; exit 6\n");
    expect(await text(shell)).toContain("17 91");
    expect(await shell.exit).toMatchObject({ code: 6 });

    const server = createServer((socket) => socket.end("from behind\n")).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { readonly port: number };
    const local = await host.forward({ local: 0, to: `127.0.0.1:${port}` });
    const said = await text(connectSocket(local.port, "127.0.0.1"));
    expect(said).toBe("from behind\n");
    const dynamic = await host.forward({ dynamic: 0 });
    const client = connectSocket(dynamic.port, "127.0.0.1");
    client.write(Buffer.from([5, 1, 0]));
    client.write(Buffer.from([5, 1, 0, 3, 9, ...Buffer.from("localhost"), port >> 8, port & 255]));
    const answer = await text(client);
    expect(answer.slice(-12)).toBe("from behind\n");
    await local.close();
    await expect(host.forward({ local: dynamic.port, to: "x:1" })).rejects.toThrow("the port is in use");
    await expect(host.forward({ local: 0, to: "x" })).rejects.toThrow("write address:port");
    await new Promise((resolve) => server.close(resolve));
  });

  it("is worked on by a run, over the same connections", async () => {
    writeFileSync(join(directory, "package.json"), "{}");
    writeFileSync(
      join(directory, "site.ts"),
      `import { copy, definePlaybook, defineRole } from "volley";
const role = defineRole({ name: "r", tasks({ task }) { task("Write", copy({ content: "run", dest: "~/by-run" })); } });
export default definePlaybook([{ hosts: "all", roles: [role()] }]);\n`,
    );
    await using fleet = await open("web01,web02");
    await fleet.exec("true");
    const before = logins();
    const summary = await run({
      fleet,
      playbook: join(directory, "site.ts"),
      via: "direct",
      logDirectory: false,
    }).summary;
    expect(summary.outcomes).toMatchObject({ ok: 2 });
    expect(logins()).toEqual(before);
    expect(readFileSync(join(homeOf(0), "by-run"), "utf8")).toBe("run");
    expect((await fleet.exec("echo still")).ok).toHaveLength(2);
  });
});

function withHost(line: string): string {
  const path = join(directory, "more.ini");
  writeFileSync(path, `${line}\n`);
  return path;
}

it("leaves no socket, timer or child", async () => {
  const before = held();
  {
    await using fleet = await open();
    await fleet.exec("true");
    await fleet.apply(file({ path: "~/d", state: "directory" }));
    await fleet.hosts[0]!.forward({ local: 0, to: "127.0.0.1:1" });
    await fleet.hosts[1]!.shell();
    await fleet.hosts[1]!.start("sleep 603");
    void fleet.exec("sleep 604");
  }
  await nothingMore(before);
});
