import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { PATIENT, until } from "../lib/patience.ts";
import { builtCli, volley } from "./lib/cli.ts";
import { fleetStarter } from "./lib/drive.ts";
import { openTerminal, type Terminal, tmuxAvailable } from "./lib/tmux.ts";

const startFleet = fleetStarter();
const closers: (() => unknown)[] = [];
afterEach(async () => {
  // A process that runs in a directory must end before the directory is removed.
  for (const close of closers.splice(0).reverse()) await close();
});

interface Started {
  readonly fleet: EmbeddedFleet;
  readonly directory: string;
  readonly args: readonly string[];
}

async function startHosts(count: number, refuse = false): Promise<Started> {
  const fleet = await startFleet({
    count,
    env: { PS1: "sh> " },
    ...(refuse ? { faults: () => ({ kind: "refuse" }) } : {}),
  });
  const directory = mkdtempSync(join(tmpdir(), "volley-shell-"));
  closers.push(() => rmSync(directory, { recursive: true, force: true }));
  const inventory = join(directory, "inventory.yaml");
  writeFileSync(inventory, fleet.inventoryYaml());
  const ways = ["--known-hosts", fleet.knownHostsPath, "--ssh-config", "none"];
  return { fleet, directory, args: ["shell", "-i", inventory, ...ways] };
}

async function open(
  { directory, args }: Started,
  options: {
    readonly extra?: readonly string[];
    readonly columns?: number;
    readonly rows?: number;
    readonly env?: Readonly<Record<string, string>>;
  } = {},
): Promise<Terminal> {
  const { extra = [], columns = 80, rows = 24, env = {} } = options;
  const command = [process.execPath, await builtCli(), ...args, ...extra];
  const terminal = openTerminal(command, {
    columns,
    rows,
    cwd: directory,
    env: { HOME: directory, ...env },
  });
  closers.push(() => terminal.close());
  return terminal;
}

const count = (text: string, part: string): number => text.split(part).length - 1;
const times = (number: number, part: string) => (screen: string) => count(screen, part) === number;

it("says that it needs a terminal", async () => {
  const started = await startHosts(1);
  const { code, stderr } = await volley(started.args, { cwd: started.directory });
  expect(code).toBe(1);
  expect(stderr).toContain("volley shell needs a terminal");
});

describe.skipIf(!tmuxAvailable())("volley shell", () => {
  it("types on every host, in order, and leaves with every session closed", async () => {
    const started = await startHosts(4);
    const terminal = await open(started);
    await terminal.see("to all web[01-04]");
    await terminal.see(times(4, "sh>"));
    terminal.type("cat > typed");
    terminal.press("Enter");
    const lines = Array.from({ length: 30 }, (_, index) => `line ${index} äö漢`);
    for (const line of lines) {
      terminal.type(line);
      terminal.press("Enter");
    }
    terminal.press("C-d");
    const typed = (): readonly string[] =>
      started.fleet.hosts.map(({ home }) => {
        const path = join(home, "typed");
        return existsSync(path) ? readFileSync(path, "utf8") : "";
      });
    await until(() => typed().every((text) => text === `${lines.join("\n")}\n`));
    terminal.press("C-]", "q");
    await terminal.see("exit 0");
    expect(terminal.ask("#{alternate_on}")).toBe("0");
    // The servers see a connection end only after the client has.
    await until(() => started.fleet.hosts.every(({ stats }) => stats.openConnections === 0));
  });

  it("leaves by itself when all shells have ended", async () => {
    const terminal = await open(await startHosts(2));
    await terminal.see(times(2, "sh>"));
    terminal.type("exit 3");
    terminal.press("Enter");
    await terminal.see("exit 0");
  });

  it("types to those selected, and not to the muted", async () => {
    const terminal = await open(await startHosts(4), { columns: 120 });
    await terminal.see(times(4, "sh>"));
    terminal.press("C-]", "/");
    terminal.type("web[01-02]");
    terminal.press("Enter");
    await terminal.see("to web[01-02]");
    terminal.press("C-]", "m");
    await terminal.see("muted web01");
    terminal.type("echo x$((40+2))");
    terminal.press("Enter");
    await terminal.see(times(1, "\nx42".slice(1)));
    terminal.press("C-]", "u", "C-]", "a");
    terminal.type("echo y$((40+2))");
    terminal.press("Enter");
    await terminal.see(times(4, "y42"));
    expect(count(terminal.screen().join("\n"), "x42")).toBe(1);
    terminal.press("C-]", "/");
    terminal.type("nowhere");
    terminal.press("Enter");
    await terminal.see('no host or group is called "nowhere"');
  });

  it("sends cursor keys and pastes as each host's program wants them", async () => {
    const terminal = await open(await startHosts(2));
    await terminal.see(times(2, "sh>"));
    terminal.press("C-]", "o");
    terminal.type("printf '\\033[?1h\\033[?2004h'; echo as''ked");
    terminal.press("Enter");
    await terminal.see("asked");
    terminal.press("C-]", "a");
    terminal.type("clear; echo here''after; cat -v");
    terminal.press("Enter");
    await terminal.see(times(2, "hereafter"));
    terminal.press("Up");
    terminal.paste("one\ntwo");
    terminal.press("Enter");
    await terminal.see((screen) => screen.includes("^[OA^[[200~one") && screen.includes("^[[Aone"));
    expect(terminal.screen().join("\n")).toContain("two^[[201~");
  });

  it("tells the hosts the size of their terminals, when it changes as well", async () => {
    const terminal = await open(await startHosts(2));
    await terminal.see(times(2, "sh>"));
    terminal.type("stty size");
    terminal.press("Enter");
    const [, rows, columns] = /(\d+) (\d+) /.exec(await terminal.see(/\d+ \d+ /)) ?? [];
    terminal.resize(200, 60);
    await terminal.see((screen) => screen.split("\n").length === 60 && screen.includes("to all web[01-02]"));
    // Told when the size rests, and answered until then with the one before.
    const sizeFrom = async (isIt: (screen: string) => boolean): Promise<string> => {
      terminal.type("clear; while sleep 0.1; do clear; stty size; done");
      terminal.press("Enter");
      const screen = await terminal.see(isIt);
      // A shell that is between two programs of its loop may go on with it.
      await vi.waitFor(async () => {
        terminal.press("C-c");
        await terminal.see(/sh>/, 3_000);
      }, PATIENT);
      return screen;
    };
    const larger = await sizeFrom(
      (screen) => /^\d+ \d+/m.test(screen) && !screen.includes(`${rows} ${columns} `),
    );
    const [, newRows, newColumns] = /^(\d+) (\d+)/m.exec(larger) ?? [];
    expect(Number(newRows) * Number(newColumns)).toBeGreaterThan(4 * Number(rows) * Number(columns));
    terminal.press("C-]", "z");
    await sizeFrom((screen) => /^58 200$/m.test(screen));
  });

  it("keeps what is hostile away from the real terminal, and answers questions to who asked", async () => {
    const started = await startHosts(2);
    const terminal = await open(started);
    await terminal.see(times(2, "sh>"));
    const title = terminal.ask("#{pane_title}");
    terminal.press("C-]", "o");
    terminal.type(
      "printf '\\033]0;PWNED\\007\\033]52;c;UFdORUQ=\\007\\033[?1000h\\033[5;7r\\033[6n\\033(0'; cat -v",
    );
    terminal.press("Enter");
    await terminal.see(/\^\[\[\d+;\d+R/);
    expect(
      terminal
        .screen()
        .join("\n")
        .match(/\^\[\[\d+;\d+R/g),
    ).toHaveLength(1);
    expect(terminal.ask("#{pane_title}")).toBe(title);
    expect(terminal.ask("#{mouse_any_flag}")).toBe("0");
    expect(terminal.ask("#{buffer_name}")).toBe("");
    expect(terminal.ask("#{scroll_region_upper},#{scroll_region_lower}")).toBe("0,23");
  });

  it("shows a host that drops, goes on with the others, and reconnects it", async () => {
    const started = await startHosts(3);
    const terminal = await open(started);
    await terminal.see(times(3, "sh>"));
    started.fleet.hosts[1]!.dropConnections();
    await terminal.see("gone web02");
    await terminal.see("to web[01,03]");
    terminal.type("echo x$((40+2))");
    terminal.press("Enter");
    await terminal.see(times(2, "x42"));
    terminal.press("C-]", "R");
    await terminal.see("to all web[01-03]");
    terminal.type("echo y$((40+2))");
    terminal.press("Enter");
    await terminal.see(times(3, "y42"));
  });

  it("marks who differs from most, and who lags", async () => {
    const terminal = await open(await startHosts(3));
    await terminal.see(times(3, "sh>"));
    terminal.type("case $HOME in *web02) echo odd;; *) echo even;; esac");
    terminal.press("Enter");
    await terminal.see(/differs web02/);
    terminal.type("case $HOME in *web03) stty -echo; clear; sleep 100;; *) clear;; esac");
    terminal.press("Enter");
    await terminal.see((screen) => count(screen, "sh>") === 2 && !/odd|even|case/.test(screen));
    terminal.type("x");
    await terminal.see(/lags web03/);
  });

  it("turns pages, shows one host alone, and helps", async () => {
    const terminal = await open(await startHosts(5), { extra: ["--panes", "2"] });
    await terminal.see((screen) => screen.includes("page 1/3") && screen.includes("to all web[01-05]"));
    terminal.press("C-]", "n");
    await terminal.see(
      (screen) => screen.includes("page 2/3") && screen.includes("web03") && !screen.includes("● web01"),
    );
    terminal.press("C-]", "z");
    await terminal.see((screen) => screen.includes("zoomed") && !screen.includes("● web04"));
    terminal.press("C-]", "?");
    await terminal.see("press any key to continue");
    terminal.press("x");
    terminal.type("seq 1 100");
    terminal.press("Enter");
    await terminal.see(/^100$/m);
    terminal.press("C-]", "[", "Home");
    await terminal.see(/^1$/m);
    terminal.press("q");
    await terminal.see(/^100$/m);
  });

  it("edits lines with history and completion, and folds equal answers", async () => {
    const terminal = await open(await startHosts(3));
    await terminal.see(times(3, "sh>"));
    terminal.press("C-]", "l");
    await terminal.see("line 3 hosts>");
    terminal.type("echo web0");
    terminal.press("Tab");
    await terminal.see("web01  web02  web03");
    terminal.type("3");
    terminal.press("Tab", "C-a", "C-k", "C-y", "Enter");
    await terminal.see(times(3, "echo web03"));
    terminal.press("Up");
    await terminal.see(/line 3 hosts> echo web03/);
    terminal.press("Escape");
    await terminal.see("to all web[01-03]");
    terminal.press("C-]", "f");
    await terminal.see("fold 3 hosts>");
    terminal.type("case $HOME in *web02) echo odd;; *) echo even;; esac");
    terminal.press("Enter");
    const folded = await terminal.see("2 answers");
    await terminal.see(/web\[01,03\] \(2\)\neven/);
    await terminal.see(/web02\nodd/);
    expect(folded).toContain("3 hosts");
    terminal.press("Escape");
    await terminal.see(times(3, "echo web03"));
  });

  it.each([
    { view: "the grid", keys: [], what: "web03" },
    { view: "one host alone", keys: ["C-]", "z"], what: "zoomed" },
    { view: "the help", keys: ["C-]", "?"], what: "press any key to continue" },
    { view: "the commands", keys: ["C-]"], what: "q quit" },
    { view: "what was before", keys: ["C-]", "["], what: "scrolling: arrows" },
    { view: "a line", keys: ["C-]", "l"], what: "line 3 hosts>" },
    { view: "a pattern", keys: ["C-]", "/"], what: "type to:" },
    { view: "answers", keys: ["C-]", "f", "i", "d", "Enter"], what: "1 answer" },
  ])("holds $view at 80×24, at 200×60 and back, drawn as if it were drawn anew", async ({ keys, what }) => {
    const terminal = await open(await startHosts(3));
    await terminal.see(times(3, "sh>"));
    terminal.type("seq 1 50");
    terminal.press("Enter");
    await terminal.see((screen) => [...screen.matchAll(/50 *(│|$)/gm)].length === 3);
    terminal.press(...keys);
    await terminal.see(what);
    for (const [columns, rows] of [
      [200, 60],
      [80, 24],
    ] as const) {
      terminal.resize(columns, rows);
      await sleep(300);
      const screen = await terminal.see((text) => text.split("\n").length === rows && text.includes(what));
      const last = screen.split("\n").at(-1)!;
      expect(last.trim()).not.toBe("");
      expect(count(screen, what)).toBe(1);
    }
  });

  it("records what each host shows, where it is told to", async () => {
    const started = await startHosts(2);
    const terminal = await open(started, { extra: ["--record", "casts"] });
    await terminal.see(times(2, "sh>"));
    terminal.type("echo x$((40+2))");
    terminal.press("Enter");
    await terminal.see(times(2, "x42"));
    terminal.press("C-]", "q");
    await terminal.see("exit 0");
    const casts = join(started.directory, "casts");
    expect(readdirSync(casts).sort()).toEqual(["web01.cast", "web02.cast"]);
    const [header, ...events] = readFileSync(join(casts, "web02.cast"), "utf8").trim().split("\n");
    expect(JSON.parse(header!)).toMatchObject({ version: 2, title: "web02" });
    expect(events.map((line) => (JSON.parse(line) as [number, string, string])[2]).join("")).toContain("x42");
  });

  it("takes another escape key, and sends it when it is pressed twice", async () => {
    const terminal = await open(await startHosts(1), { extra: ["--escape", "ctrl-b"] });
    await terminal.see("sh>");
    await terminal.see("Ctrl-B ? help");
    terminal.type("cat -v");
    terminal.press("Enter", "C-b", "C-b", "C-]", "Enter");
    await terminal.see("^B^]");
    terminal.press("C-b", "q");
    await terminal.see("exit 0");
  });

  it("says whom it could not reach, and exits with 4", async () => {
    const started = await startHosts(2, true);
    const terminal = await open(started, { extra: ["--connect-retries", "0"] });
    const screen = await terminal.see("exit 4");
    expect(screen).toMatch(/web01: .*refused/);
    expect(screen).toMatch(/web02: .*refused/);
  });

  it("gives the terminal back when it is ended by a signal", async () => {
    const terminal = await open(await startHosts(1), { extra: ["--panes", "1"] });
    await terminal.see("to all web01");
    const shell = Number(terminal.ask("#{pane_pid}"));
    const child = readFileSync(`/proc/${shell}/task/${shell}/children`, "utf8").trim();
    process.kill(Number(child), "SIGTERM");
    const screen = await terminal.see("exit 130");
    expect(terminal.ask("#{alternate_on},#{cursor_flag}")).toBe("0,1");
    expect(await terminal.see(/icanon[\s\S]*echo/)).not.toMatch(/-icanon|-echo /);
    expect(screen).not.toContain("● web01");
  });

  it("gives the terminal back when it crashes, and shows why", async () => {
    const started = await startHosts(1);
    const sign = join(started.directory, "crash");
    const crash = `import{existsSync}from"fs";setInterval(()=>{if(existsSync("${sign}"))throw(new(Error)("boom"))},50).unref()`;
    const terminal = await open(started, {
      extra: ["--panes", "1"],
      env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(crash)}` },
    });
    await terminal.see("to all web01");
    writeFileSync(sign, "");
    await terminal.see("boom");
    await terminal.see("exit 1");
    expect(terminal.ask("#{alternate_on},#{cursor_flag}")).toBe("0,1");
    expect(await terminal.see(/icanon[\s\S]*echo/)).not.toMatch(/-icanon|-echo /);
  });

  it("goes on while its terminal does not read, and then shows what is there now", async () => {
    const started = await startHosts(2);
    const line = [process.execPath, await builtCli(), ...started.args].map((word) => `'${word}'`).join(" ");
    const child = spawn("script", ["-qfec", `stty cols 80 rows 24; exec ${line}`, "/dev/null"], {
      env: { ...process.env, LC_ALL: "C.UTF-8", TERM: "xterm-256color", HOME: started.directory },
      stdio: ["pipe", "pipe", "inherit"],
    });
    closers.push(() => child.kill("SIGKILL"));
    let seen = "";
    child.stdout.on("data", (chunk: Buffer) => {
      seen += chunk.toString("utf8");
    });
    await until(() => seen.includes("web02"));
    await until(() => count(seen, "sh>") >= 2);
    child.stdout.pause();
    child.stdin.write(
      "i=0; while [ ! -e stop ]; do i=$((i+1)); echo $i xxxxxxxxxxxxxxx; done; echo > done; echo TH''EEND\r",
    );
    await sleep(1_500);
    const [one, two] = started.fleet.hosts;
    writeFileSync(join(one!.home, "stop"), "");
    writeFileSync(join(two!.home, "stop"), "");
    await until(() => existsSync(join(one!.home, "done")) && existsSync(join(two!.home, "done")));
    child.stdin.write("touch later\r");
    await until(() => existsSync(join(one!.home, "later")) && existsSync(join(two!.home, "later")));
    child.stdout.resume();
    await until(() => seen.includes("THEEND"));
    child.stdin.write("\x1dq");
    await until(() => child.exitCode === 0);
    expect(seen).toContain("\x1b[?1049l");
    // Hundreds of thousands of lines were printed; a few frames of them were drawn.
    expect(seen.length).toBeLessThan(1_000_000);
  });
});
