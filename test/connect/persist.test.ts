import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, connect as openSocket } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type ConnectOptions, connect, type Fleet } from "../../src/controller.ts";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { copy } from "../../src/index.ts";
import { persistDirectory } from "../../src/transport/persist/place.ts";
import type { KeptConnection } from "../../src/transport/persist/protocol.ts";
import { listKept, stopKept } from "../../src/transport/persist/visit.ts";
import { builtCli } from "../e2e/lib/cli.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";
import { held, nothingMore } from "../lib/held.ts";
import { PATIENT, until } from "../lib/patience.ts";
import { canLogIn, makeKey, startSshd } from "../transport/lib/sshd.ts";

const scratch = scratchDirectory();
let embedded: EmbeddedFleet;
let directory: string;
const runtime = process.env.XDG_RUNTIME_DIR;

beforeAll(async () => {
  embedded = await startEmbeddedFleet({
    count: 2,
    faults: (index) => (index === 1 ? { kind: "maxSessions", sessions: 3 } : undefined),
  });
  directory = mkdtempSync(join(scratch(), "persist-"));
  writeFileSync(join(directory, "hosts.yaml"), embedded.inventoryYaml());
  // The background process of these tests alone.
  process.env.XDG_RUNTIME_DIR = mkdtempSync(join(scratch(), "r-"));
});
afterEach(async () => {
  await stopKept(persistDirectory());
});
afterAll(async () => {
  if (runtime === undefined) delete process.env.XDG_RUNTIME_DIR;
  else process.env.XDG_RUNTIME_DIR = runtime;
  await embedded.stop();
});

const reach = (): ConnectOptions => ({
  inventory: join(directory, "hosts.yaml"),
  sshConfig: "none",
  knownHostsFiles: [embedded.knownHostsPath],
  connectTimeoutMs: 60_000,
  cwd: directory,
});

function open(options: ConnectOptions = {}, pattern = "web01"): Promise<Fleet> {
  return connect(pattern, { ...reach(), persist: "10m", ...options });
}

/** Start the background process, which a program need not wait for. */
async function startBackground(): Promise<ChildProcess> {
  const background = spawn(process.execPath, [await builtCli(), "persist", "serve"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [line] = (await once(background.stdout, "data")) as [Buffer];
  expect(line.toString()).toBe("ready\n");
  return background;
}

async function allIdle(count: number): Promise<readonly KeptConnection[]> {
  let kept: readonly KeptConnection[] = [];
  await expect
    .poll(async () => {
      kept = await listKept(persistDirectory());
      return kept.filter(({ idleMs }) => idleMs !== undefined).length;
    }, PATIENT)
    .toBe(count);
  return kept;
}

const logins = (index = 0): number => embedded.hosts[index]!.stats.connections;
const isWritten = (name: string): boolean =>
  existsSync(join(embedded.hosts[0]!.home, name)) && pidIn(name) > 0;
const pidIn = (name: string): number => Number(readFileSync(join(embedded.hosts[0]!.home, name), "utf8"));

describe("A fleet that persists", () => {
  it("does everything over a connection that another has left, and closes only what it started", async () => {
    await startBackground();
    const before = logins();
    const heldBefore = held();
    let kept: KeptConnection | undefined;
    for (const round of [1, 2]) {
      const names = [`started-${round}`, `executed-${round}`];
      {
        await using fleet = await open();
        const host = fleet.host("web01");
        expect((await host.exec("cat", { stdin: "through" })).stdout).toBe("through");
        expect(await host.put("hosts.yaml", "sent/")).toMatchObject({ ok: true });
        expect(await host.apply(copy({ content: "text", dest: "~/applied" }))).toMatchObject({ ok: true });
        expect((await host.facts()).vars.ansible_system).toBe("Linux");
        const shell = await host.shell({ columns: 91, rows: 17 });
        shell.write("stty size; exit 6\n");
        expect(await text(shell)).toContain("17 91");
        await host.start(`echo $$ >${names[0]}; exec sleep 605`);
        void host.exec(`echo $$ >${names[1]}; exec sleep 606`);
        await until(() => names.every((name) => isWritten(name)));
      }
      await until(() => names.every((name) => !existsSync(`/proc/${pidIn(name)}`)));
      [kept] = await allIdle(1);
    }
    expect(kept).toMatchObject({ host: "web01", channels: 0 });
    expect(kept!.leftMs).toBeGreaterThan(500_000);
    expect(logins()).toBe(before + 1);
    // The other end of the connection is in this process, too.
    await stopKept(persistDirectory());
    await nothingMore(heldBefore);
  });

  it("waits where a host grants no more sessions", async () => {
    await startBackground();
    await using fleet = await open({}, "web02");
    const host = fleet.host("web02");
    const all = await Promise.all(Array.from({ length: 8 }, (_, index) => host.exec(`echo ${index}`)));
    expect(all.map((result) => result.text)).toEqual(all.map((_result, index) => String(index)));
  });

  it("keeps connections as ssh_config or the inventory says, or not at all", async () => {
    await startBackground();
    const sshConfig = join(directory, "config");
    writeFileSync(sshConfig, "Host *\n ControlMaster auto\n ControlPersist 2m\n");
    const byConfig: ConnectOptions = { ...reach(), sshConfig };
    const use = async (options: ConnectOptions): Promise<void> => {
      await using fleet = await connect("web01", options);
      expect((await fleet.exec("true")).failed).toEqual([]);
    };
    await use({ ...byConfig, persist: false });
    expect(await listKept(persistDirectory())).toEqual([]);
    await use(byConfig);
    const [kept] = await allIdle(1);
    expect(kept!.leftMs).toBeGreaterThan(60_000);
    expect(kept!.leftMs).toBeLessThanOrEqual(120_000);
    const inventory = join(directory, "kept.yaml");
    writeFileSync(inventory, `${embedded.inventoryYaml()}  vars: { volley_persist: 20m }\n`);
    await use({ ...byConfig, inventory });
    expect((await allIdle(1))[0]!.leftMs).toBeGreaterThan(1_000_000);
    await use({ ...byConfig, persist: 3_600_000 });
    expect((await allIdle(1))[0]!.leftMs).toBeGreaterThan(3_000_000);
  });

  it("takes times as the command line, or milliseconds", async () => {
    for (const persist of ["0", "soon", "60d", "", 0, 600, 2 ** 40, Number.NaN])
      await expect(open({ persist })).rejects.toMatchObject({
        code: "USAGE",
        message: expect.stringMatching(/^persist must be /),
      });
  });

  it.skipIf(!canLogIn)("forwards ports, where the host listens by a connection of its own", async () => {
    await startBackground();
    const sshd = await startSshd();
    sshd.authorize(makeKey(sshd.path("key")));
    const { user } = sshd.host().connection;
    writeFileSync(sshd.path("known"), `[127.0.0.1]:${sshd.port} ${sshd.hostKey}\n`);
    writeFileSync(
      sshd.path("hosts.ini"),
      `real ansible_host=127.0.0.1 ansible_port=${sshd.port} ansible_user=${user} ansible_ssh_private_key_file=${sshd.path("key")}\n`,
    );
    const server = createServer((socket) => socket.end("from behind\n")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { readonly port: number };
    const to = `127.0.0.1:${port}`;
    const heldBefore = held();
    {
      await using fleet = await open(
        { inventory: sshd.path("hosts.ini"), knownHostsFiles: [sshd.path("known")] },
        "real",
      );
      const host = fleet.host("real");
      for (const options of [
        { local: 0, to },
        { remote: 0, to },
        { remote: 0, to },
      ] as const) {
        const forwarding = await host.forward(options);
        expect(await text(openSocket(forwarding.port, "127.0.0.1"))).toBe("from behind\n");
        if ("local" in options) continue;
        await forwarding.close();
        const again = openSocket(forwarding.port, "127.0.0.1");
        expect(await once(again, "error")).toMatchObject([{ code: "ECONNREFUSED" }]);
      }
      await host.forward({ remote: 0, to });
      expect((await host.exec("echo still")).text).toBe("still");
    }
    await nothingMore(heldBefore);
    expect(await allIdle(1)).toMatchObject([{ host: "real", channels: 0 }]);
    server.close();
  });

  // The last: the process that the fleet itself starts may come late.
  it("connects by itself when the background process was killed, and uses the next one", async () => {
    const background = await startBackground();
    const before = logins();
    await using fleet = await open();
    const host = fleet.host("web01");
    const broken = host.exec("echo $$ >broken; exec sleep 607");
    await until(() => existsSync(join(embedded.hosts[0]!.home, "broken")));
    background.kill("SIGKILL");
    expect(await broken).toMatchObject({
      outcome: "lost",
      error: { code: "CONNECTION_LOST", message: expect.stringContaining("background process") },
    });
    expect((await host.exec("echo back")).text).toBe("back");
    // The process that the fleet has started meanwhile may have connected, too.
    expect(logins()).toBeGreaterThan(before + 1);
    // The fleet may have started this one itself.
    spawn(process.execPath, [await builtCli(), "persist", "serve"], { stdio: "ignore" });
    await expect
      .poll(async () => {
        embedded.hosts[0]!.dropConnections();
        // The fleet may not have noticed yet.
        await host.exec("true");
        expect((await host.exec("echo here")).text).toBe("here");
        return (await listKept(persistDirectory())).map(({ idleMs }) => idleMs);
      }, PATIENT)
      .toEqual([undefined]);
  });
});
