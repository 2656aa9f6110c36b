import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { builtCli } from "../e2e/lib/cli.ts";
import { openTerminal, type Terminal, tmuxAvailable } from "../e2e/lib/tmux.ts";
import { PATIENT } from "../lib/patience.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import { fleetAvailable } from "./lib/requirements.ts";

const HOSTS = 9;

const count = (text: string, part: string): number => text.split(part).length - 1;
const times = (number: number, part: string) => (screen: string) => count(screen, part) === number;

describe.skipIf(!fleetAvailable() || !tmuxAvailable())("volley shell on nine hosts", () => {
  let fleet: Fleet;
  let terminal: Terminal;

  const textOn = (name: string): readonly string[] =>
    fleet.hosts.map(({ root }) => {
      const path = join(root, "home/deploy", name);
      return existsSync(path) ? readFileSync(path, "utf8") : "";
    });
  const until = async (condition: () => boolean): Promise<void> => {
    for (let attempt = 0; attempt < 3_000 && !condition(); attempt++) await sleep(20);
    expect(condition()).toBe(true);
  };

  beforeAll(async () => {
    fleet = await bootFleet({ count: HOSTS });
    const inventory = join(fleet.folder, "inventory.yaml");
    writeFileSync(inventory, fleet.inventoryYaml());
    const command = [process.execPath, await builtCli(), "shell", "-i", inventory];
    terminal = openTerminal(command, {
      columns: 80,
      rows: 24,
      cwd: fleet.folder,
      env: { HOME: fleet.folder },
    });
    await terminal.see("to all fleet[1-9]");
    await terminal.see((screen) => [...screen.matchAll(/\$(?= *(│|$))/gm)].length === HOSTS);
  });
  afterAll(async () => {
    await terminal?.close();
    await fleet?.stop();
  });

  it("types on all of them, in order", async () => {
    terminal.type("PS1='ok> '; clear");
    terminal.press("Enter");
    await terminal.see(times(HOSTS, "ok>"));
    terminal.type("cat > typed");
    terminal.press("Enter");
    const lines = Array.from({ length: 50 }, (_, index) => `line ${index}`);
    for (const line of lines) {
      terminal.type(line);
      terminal.press("Enter");
    }
    terminal.press("C-d");
    await until(() => textOn("typed").every((text) => text === `${lines.join("\n")}\n`));
  });

  it("opens vi on all of them, edits with cursor keys, and closes it", async () => {
    terminal.type("clear; vi note.txt");
    terminal.press("Enter");
    await terminal.see((screen) => count(screen, "~") >= 4 * HOSTS);
    terminal.type("ione");
    terminal.press("Enter");
    terminal.type("two");
    terminal.press("Enter");
    terminal.type("three");
    terminal.press("Escape");
    await terminal.see(times(HOSTS, "three"));
    await sleep(200);
    terminal.press("Up", "Up");
    terminal.type("A!");
    terminal.press("Escape");
    await terminal.see(times(HOSTS, "one!"));
    await sleep(200);
    terminal.type(":wq");
    terminal.press("Enter");
    await until(() => textOn("note.txt").every((text) => text === "one!\ntwo\nthree\n"));
    // The screen of before is back.
    await terminal.see((screen) => count(screen, "ok>") >= HOSTS && !screen.includes("three"));
  });

  it("keeps up with top, and tells it the size of its terminal", async () => {
    terminal.type("top -d 0.5");
    terminal.press("Enter");
    const clocks = (screen: string): readonly string[] =>
      [...screen.matchAll(/top - (\d\d:\d\d:\d\d)/g)].map(([, clock]) => clock!);
    const first = clocks(await terminal.see(times(HOSTS, "top - ")));
    await terminal.see(
      (screen) => clocks(screen).length === HOSTS && clocks(screen).every((clock) => !first.includes(clock)),
    );
    const narrow = terminal.screen().join("\n");
    expect(narrow).not.toContain("load average");
    terminal.resize(200, 60);
    await terminal.see(
      (screen) => screen.split("\n").length === 60 && count(screen, "load average") === HOSTS,
    );
    terminal.press("q");
    await terminal.see((screen) => count(screen, "ok>") >= HOSTS);
    terminal.type("while sleep 0.1; do clear; stty size; done");
    terminal.press("Enter");
    await terminal.see(times(HOSTS, "18 66"));
    terminal.resize(80, 24);
    await terminal.see((screen) => screen.split("\n").length === 24 && screen.includes("to all fleet[1-9]"));
    await terminal.see(times(HOSTS, "6 26"));
    // A shell that is between two programs of its loop may go on with it.
    await vi.waitFor(async () => {
      terminal.press("C-c");
      await terminal.see((screen) => count(screen, "ok>") >= HOSTS, 3_000);
    }, PATIENT);
  });

  it("shows a host that is killed, goes on with the others, and reconnects it when it is back", async () => {
    const host = fleet.hosts[6]!;
    await host.kill();
    await terminal.see("gone fleet7");
    await terminal.see("to fleet[1-6,8-9]");
    terminal.type("clear; echo x$((40+2))");
    terminal.press("Enter");
    await terminal.see(times(HOSTS - 1, "x42"));
    await host.start();
    terminal.press("C-]", "R");
    await terminal.see("to all fleet[1-9]");
    terminal.type("clear; echo y$((40+2))");
    terminal.press("Enter");
    await terminal.see(times(HOSTS, "y42"));
  });

  it("folds what they answer", async () => {
    terminal.type("exec bash");
    terminal.press("Enter");
    terminal.type("PS1='bash> '; cd /srv; clear");
    terminal.press("Enter");
    await terminal.see((screen) => count(screen, "bash>") === HOSTS && !screen.includes("clear"));
    terminal.press("C-]", "f");
    terminal.type("pwd");
    terminal.press("Enter");
    await terminal.see(/fleet\[1-9\] \(9\)\n\/srv$/m);
    terminal.type("hostname | tr -d 1-8");
    terminal.press("Enter");
    await terminal.see(/fleet\[1-8\] \(8\)\nfleet$/m);
    await terminal.see(/^fleet9\nfleet9$/m);
    terminal.press("Escape");
    await terminal.see("to all fleet[1-9]");
  });

  it("leaves no session behind", async () => {
    terminal.type("sleep 4242");
    terminal.press("Enter");
    await sleep(500);
    terminal.press("C-]", "q");
    await terminal.see("exit 0");
    for (const host of fleet.hosts) {
      const isGone = async (): Promise<boolean> =>
        (await host.exec(["pgrep", "-f", "sleep 4242"])).code === 1;
      for (let attempt = 0; attempt < 100 && !(await isGone()); attempt++) await sleep(50);
      expect(await isGone()).toBe(true);
    }
  });
});
