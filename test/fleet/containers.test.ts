import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { hostname, machine, release, tmpdir, version } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import type { Event } from "../../src/core/events.ts";
import { builtCli } from "../e2e/lib/cli.ts";
import { volleyHere } from "../e2e/lib/here.ts";
import { makeProject, playbookText } from "../e2e/lib/project.ts";
import { openTerminal, tmuxAvailable } from "../e2e/lib/tmux.ts";
import { until } from "../lib/patience.ts";
import { startEngineContainer } from "./lib/engine.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import { fleetAvailable } from "./lib/requirements.ts";

// Containers of the real programs: a chroot, a machine of systemd-nspawn, and those of podman and, where its daemon
// answers, docker.

const KINDS = ["chroot", "nspawn", "podman", "docker"] as const;
type Kind = (typeof KINDS)[number];

/** A container, as the test sees it past Volley. */
interface Place {
  readonly vars: Readonly<Record<string, unknown>>;
  /** Return the text of a file in it. */
  read(path: string): string;
  remove?(): void;
}

const site = playbookText(`{ name: "Containers", hosts: "all", tasks: ({ task, host, facts }) => {
  task("Copy", copy({ content: "I am " + host.name + "\\n", dest: "/etc/for-" + host.name, mode: "0640" }));
  task("Make a directory", file({ path: "/srv/for-" + host.name, state: "directory", mode: "0750" }));
  task("Ask", command("id -un"), { changedWhen: false });
} }`);

describe.skipIf(!fleetAvailable())("containers", () => {
  let fleet: Fleet;
  let scratch: string;
  let inventory: string;
  let playbook: string;
  const places = new Map<Kind, Place>();
  const missing = new Map<Kind, string>();
  const name = `volley-test-${process.pid}`;
  const volley = (...args: readonly string[]) =>
    volleyHere(args, { cwd: scratch, env: { HOME: scratch, XDG_CACHE_HOME: join(scratch, "cache") } });

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), "volley-containers-test-"));
    await builtCli();
    fleet = await bootFleet({ count: 1 });
    const { root } = fleet.hosts[0]!;
    const inRoot = { read: (path: string) => readFileSync(join(root, path), "utf8") };
    // One root serves twice: the chroot has no Node there, and neither /proc nor a systemd of its own.
    places.set("chroot", {
      ...inRoot,
      vars: { ansible_connection: "community.general.chroot", ansible_host: root },
    });
    places.set("nspawn", { ...inRoot, vars: { ansible_connection: "nspawn", ansible_host: root } });
    for (const kind of ["podman", "docker"] as const) {
      const folder = join(scratch, kind);
      mkdirSync(folder);
      const started = startEngineContainer(kind, folder, name);
      if (typeof started === "string") missing.set(kind, started);
      else
        places.set(kind, {
          vars: started.vars,
          read: (path) => `${started.exec("cat", path)}\n`,
          remove: started.remove,
        });
    }
    for (const [kind, why] of missing) console.warn(`Tests with ${kind} are skipped: ${why}`);
    const hosts = Object.fromEntries([...places].map(([kind, { vars }]) => [kind, vars]));
    const project = makeProject(scratch, { "site.ts": site, "hosts.yaml": stringify({ all: { hosts } }) });
    inventory = project.path("hosts.yaml");
    playbook = project.path("site.ts");
  });
  afterAll(async () => {
    for (const { remove } of places.values()) remove?.();
    await fleet?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  const runs = async (kind: Kind, ...args: readonly string[]) => {
    const { code, stdout } = await volley(
      "run",
      "-i",
      inventory,
      "-l",
      kind,
      "--output",
      "json",
      ...args,
      playbook,
    );
    const events = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Event);
    const tasks = events.flatMap((event) => (event.type === "task:end" ? [event.result.state] : []));
    const [start] = events.flatMap((event) => (event.type === "host:start" ? [event.method] : []));
    return { code, tasks, method: start };
  };

  describe.each(KINDS)("of %s", (kind) => {
    it("are provisioned, and found as they should be by the next run", async (context) => {
      const place = places.get(kind) ?? context.skip();
      const method = kind === "chroot" ? "direct" : "bundle";
      expect(await runs(kind, "--check")).toEqual({
        code: 0,
        method,
        tasks: ["changed", "changed", "skipped"],
      });
      expect(await runs(kind)).toEqual({ code: 0, method, tasks: ["changed", "changed", "unchanged"] });
      expect(place.read(`/etc/for-${kind}`)).toBe(`I am ${kind}\n`);
      expect(await runs(kind, "--via", "direct")).toEqual({
        code: 0,
        method: "direct",
        tasks: ["unchanged", "unchanged", "unchanged"],
      });
    });

    it("get and give trees, and run commands", async (context) => {
      if (!places.has(kind)) context.skip();
      const tree = join(scratch, `tree-${kind}`);
      mkdirSync(join(tree, "sub"), { recursive: true });
      for (let each = 0; each < 5; each++)
        writeFileSync(join(tree, "sub", `it's ${each}`), `${each}\n`.repeat(each));
      writeFileSync(join(tree, "big"), Buffer.alloc(1_500_000, "0123456\0"));
      symlinkSync("big", join(tree, "link"));
      expect(await volley("put", "-i", inventory, kind, tree, "/srv/")).toMatchObject({ code: 0 });
      const again = await volley("put", "-i", inventory, kind, tree, "/srv/");
      expect(again.stdout + again.stderr).toContain("0 files sent, 7 unchanged");
      const got = await volley("get", "-i", inventory, kind, `/srv/tree-${kind}`, `${scratch}/got/`);
      expect(got).toMatchObject({ code: 0 });
      execFileSync("diff", ["-r", tree, join(scratch, "got", kind, `tree-${kind}`)]);
      const end = await volley("exec", "-i", inventory, kind, "--", "sh", "-c", "id -un; exit 3");
      expect(end.stdout).toContain("root");
      expect(end.stdout + end.stderr).toContain("exit 3");
    });
  });

  it("without /proc have the facts of uname", async () => {
    const { code, stdout } = await volley("facts", "-i", inventory, "-o", "json", "chroot");
    expect(code).toBe(0);
    expect(JSON.parse(stdout).facts).toMatchObject({
      ansible_nodename: hostname(),
      ansible_kernel: release(),
      ansible_kernel_version: version(),
      ansible_machine: machine(),
    });
  });

  it("that are not there are unreachable, in one line", async () => {
    const gone = { ansible_connection: "nspawn" };
    const hosts = { gone, away: { ansible_connection: "chroot", ansible_host: "/nowhere" } };
    const file = join(scratch, "gone.yaml");
    writeFileSync(file, stringify({ all: { hosts } }));
    const { code, stdout, stderr } = await volley("run", "-i", file, "--output", "plain", playbook);
    expect(code).toBe(4);
    expect(stdout + stderr).toContain("gone: no machine gone of systemd-nspawn runs here\n");
    expect(stdout + stderr).toContain(
      "away: chroot does not lead into /nowhere: chroot: cannot change root directory to '/nowhere': No such file or directory\n",
    );
  });

  it.skipIf(!tmuxAvailable())(
    "have a shell, whose size changes, and which leaves nothing behind",
    async () => {
      const all = [...places.keys()];
      const command = [process.execPath, await builtCli(), "shell", "-i", inventory];
      const terminal = openTerminal(command, {
        columns: 100,
        rows: 40,
        cwd: scratch,
        env: { HOME: scratch },
      });
      const mark = `86${process.pid}`;
      const left = (): string => execFileSync("ps", ["ax", "-o", "args"], { encoding: "utf8" });
      try {
        await terminal.see((screen) => (screen.match(/[#$] *(│|$)/gm) ?? []).length >= all.length);
        terminal.resize(130, 41);
        terminal.type("clear; stty size; echo $TERM; pwd");
        terminal.press("Enter");
        await terminal.see(
          (screen) => (screen.match(/^\S*\d+ \d+/gm) ?? []).length > 0 && screen.includes("/root"),
        );
        terminal.type(`sleep ${mark}`);
        terminal.press("Enter");
        await until(() => left().split(`sleep ${mark}`).length > all.length);
        terminal.press("C-c");
        await until(() => !left().includes(`sleep ${mark}`));
        terminal.type(`sleep ${mark}1`);
        terminal.press("Enter");
        await until(() => left().split(`sleep ${mark}1`).length > all.length);
      } finally {
        await terminal.close();
      }
      await until(() => !left().includes(`sleep ${mark}1`));
    },
  );

  it("of systemd-nspawn are started in their directory for the time of a command", async () => {
    const [host] = fleet.hosts;
    await host!.stop();
    const end = await volley(
      "exec",
      "-i",
      inventory,
      "nspawn",
      "--",
      "cat",
      "/proc/1/comm",
      "/etc/for-nspawn",
    );
    expect(end).toMatchObject({ code: 0 });
    expect(end.stdout).toMatch(/stubinit.*\n.*I am nspawn\n/);
    const nspawns = (): string => execFileSync("ps", ["ax", "-o", "args"], { encoding: "utf8" });
    await until(() => !nspawns().includes(`--directory=${host!.root}`));
  });
});
