import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { until } from "../lib/patience.ts";
import { builtCli } from "./lib/cli.ts";
import { openTerminal, type Terminal, tmuxAvailable } from "./lib/tmux.ts";

describe.skipIf(!tmuxAvailable())("volley shell on one host", () => {
  const directory = mkdtempSync(join(tmpdir(), "volley-shell-"));
  let fleet: EmbeddedFleet;
  let terminal: Terminal;

  beforeAll(async () => {
    fleet = await startEmbeddedFleet({ count: 2, env: { PS1: "sh> " } });
    writeFileSync(join(directory, "inventory.yaml"), fleet.inventoryYaml());
  });
  afterEach(async () => {
    await terminal.close();
  });
  afterAll(async () => {
    await fleet.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const open = async (): Promise<void> => {
    const ways = ["--known-hosts", fleet.knownHostsPath, "--ssh-config", "none"];
    terminal = openTerminal([process.execPath, await builtCli(), "shell", ...ways, "web01"], {
      ...{ columns: 80, rows: 24, cwd: directory, env: { HOME: directory, TERM: "tmux-256color" } },
    });
    await terminal.see(/^sh> ?$/m);
  };
  const enter = (line: string): void => {
    terminal.type(line);
    terminal.press("Enter");
  };
  const isRestored = async (): Promise<void> => {
    expect(terminal.ask("#{alternate_on},#{cursor_flag},#{mouse_any_flag}")).toBe("0,1,0");
    expect(await terminal.see(/icanon[\s\S]*echo/)).not.toMatch(/-icanon|-echo /);
  };

  it("gives it the whole terminal, and ends with the shell's exit code", async () => {
    await open();
    expect(terminal.screen().join("\n").trim()).toBe("sh>");
    enter("stty size; echo $TERM; printf '\\033]2;a title\\007'");
    await terminal.see(/^24 80\ntmux-256color$/m);
    await until(() => terminal.ask("#{pane_title}") === "a title");
    terminal.resize(100, 30);
    // The shell learns of the size a moment later.
    enter('clear; until [ "$(stty size)" = "30 100" ]; do sleep 0.1; done; echo resized');
    await terminal.see(/^resized$/m);
    enter("clear; echo now; cat");
    await terminal.see(/^now$/m);
    // The shell itself would take a Ctrl-C that comes before cat.
    enter("twice");
    await terminal.see(/^twice\ntwice$/m);
    terminal.press("C-c");
    await terminal.see(/\^C\nsh>/);
    enter("exit 7");
    await terminal.see("exit 7");
    await isRestored();
  });

  it("has ssh's escapes behind Enter, and restores what the host has left set", async () => {
    await open();
    enter("echo a~.b");
    await terminal.see(/^a~\.b$/m);
    enter("~?");
    await terminal.see("~.  end the session");
    enter("echo one; printf '\\033[?1049h\\033[?25l\\033[?1000h'; cat");
    await until(() => terminal.ask("#{alternate_on},#{cursor_flag},#{mouse_any_flag}") === "1,0,1");
    terminal.press("Enter");
    terminal.type("~.");
    await terminal.see("exit 0");
    await isRestored();
    await until(() => fleet.hosts[0]!.stats.openConnections === 0);
  });

  it("says in one line that the connection is gone, and exits with 4", async () => {
    await open();
    enter("printf '\\033[?25l'; echo ready");
    await terminal.see(/^ready$/m);
    fleet.hosts[0]!.dropConnections();
    const screen = await terminal.see("exit 4");
    expect(screen.match(/^web01: .*$/gm)).toHaveLength(1);
    await isRestored();
  });

  it("gives the terminal back when it is ended by a signal", async () => {
    await open();
    const shell = Number(terminal.ask("#{pane_pid}"));
    const child = readFileSync(`/proc/${shell}/task/${shell}/children`, "utf8").trim();
    process.kill(Number(child), "SIGTERM");
    await terminal.see("exit 130");
    await isRestored();
  });
});
