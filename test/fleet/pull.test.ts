import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { carryBundle } from "../../src/controller/prepare/carry.ts";
import { hasSshKeygen, makeKeyring } from "../bundle/signing/lib.ts";
import { builtCli } from "../e2e/lib/cli.ts";
import { makeProject, scratchDirectory } from "../e2e/lib/project.ts";
import { tasks } from "../e2e/lib/sources.ts";
import { until } from "../lib/patience.ts";
import { type FileServer, startFileServer } from "../pull/server.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import type { FleetHost } from "./lib/host.ts";
import { fleetAvailable } from "./lib/requirements.ts";

const scratch = scratchDirectory();
const site = tasks('task("Mark", copy({ content: "by the timer\\n", dest: "/root/mark" }));');

describe.skipIf(!fleetAvailable() || !hasSshKeygen)("a Debian host that provisions itself", () => {
  let fleet: Fleet;
  let host: FleetHost;
  let server: FileServer;
  const inside = (path: string): string => join(host.root, path);
  const pull = (...args: readonly string[]) =>
    host.exec(["node", "/opt/volley/dist/cli/main.js", "pull", ...args]);

  beforeAll(async () => {
    const main = await builtCli();
    const keys = makeKeyring(scratch());
    keys.make("ops");
    const project = makeProject(scratch(), { "site.ts": site });
    const { bytes } = await carryBundle({
      playbook: project.path("site.ts"),
      cwd: project.directory,
      signingKey: keys.path("ops"),
    });
    server = await startFileServer();
    server.files.set("/site.run", bytes);
    fleet = await bootFleet({
      count: 1,
      prepare: (root) => {
        const volley = join(root, "opt/volley");
        cpSync(dirname(main), join(volley, "dist/cli"), { recursive: true });
        cpSync(join(dirname(main), "../../package.json"), join(volley, "package.json"));
        mkdirSync(join(root, "etc/volley"));
        writeFileSync(join(root, "etc/volley/signers"), `ops@example.com ${keys.publicKey("ops")}\n`);
      },
    });
    host = fleet.hosts[0]!;
  }, 600_000);
  afterAll(async () => {
    await fleet?.stop();
    await server?.close();
  });

  /** The lines of the pulls. Of a short process the journal may not know the program: lines are told apart by their beginning. */
  const logged = async (): Promise<readonly string[]> => {
    const log = await host.exec(["journalctl", "-u", "volley-pull", "-o", "cat", "--no-pager"]);
    return log.stdout.split("\n").filter((line) => /^(?:fleet1|volley): /.test(line));
  };

  it("installs a timer of systemd, which pulls and logs one line", async () => {
    const url = server.url("/site.run").href;
    const options = [url, "--signers", "/etc/volley/signers", "--only-if-changed"];
    const installed = await pull(...options, "--install-timer", "30m");
    expect(installed).toMatchObject({ code: 0, stderr: "" });
    expect(installed.stdout).toMatch(/^volley-pull\.timer: every 30min and up to 10min later/);
    const ask = async (...args: readonly string[]): Promise<string> =>
      (await host.exec(["systemctl", ...args])).stdout.trim();
    expect(await ask("is-enabled", "volley-pull.timer")).toBe("enabled");
    expect(await ask("is-active", "volley-pull.timer")).toBe("active");
    // At once instead of after a random time.
    mkdirSync(inside("etc/systemd/system/volley-pull.timer.d"), { recursive: true });
    const soon = "[Timer]\nOnActiveSec=\nOnActiveSec=0\nRandomizedDelaySec=0\n";
    writeFileSync(inside("etc/systemd/system/volley-pull.timer.d/soon.conf"), soon);
    await ask("daemon-reload");
    await ask("restart", "volley-pull.timer");
    await until(() => existsSync(inside("root/mark")));
    expect(readFileSync(inside("root/mark"), "utf8")).toBe("by the timer\n");
    // A start waits for the pull that goes on, and does the next one.
    await ask("start", "volley-pull.service");
    await ask("start", "volley-pull.service");
    const lines = await logged();
    expect(lines[0]).toMatch(/^fleet1: 1 total actions .* 1 changed.*signed by ops@example\.com\)$/);
    expect(lines.at(-1)).toMatch(/^fleet1: unchanged since /);
    expect(server.answers.map(({ status }) => status).sort()).toEqual([
      200,
      ...server.answers.slice(1).map(() => 304),
    ]);
  });

  it("logs a refusal, and fails its unit", async () => {
    server.files.set("/site.run", Buffer.from("#!/bin/sh\ntouch /root/hijacked\n"));
    expect((await host.exec(["systemctl", "start", "volley-pull.service"])).code).not.toBe(0);
    expect((await logged()).at(-1)).toMatch(/^volley: http:\S+ is not signed$/);
    expect(existsSync(inside("root/hijacked"))).toBe(false);
  });

  it("removes its timer, and leaves nothing of it", async () => {
    rmSync(inside("etc/systemd/system/volley-pull.timer.d"), { recursive: true });
    expect((await pull("--remove-timer")).stdout).toMatch(/^removed .*volley-pull\.timer/);
    expect((await host.exec(["systemctl", "list-timers", "--all", "--no-legend"])).stdout).not.toContain(
      "volley",
    );
    expect((await pull("--remove-timer")).stdout).toBe("there is no timer\n");
  });
});
