import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openTerminal } from "../e2e/lib/tmux.ts";
import { bootFleet } from "../fleet/lib/fleet.ts";

const COLUMNS = 128;
const ROWS = 34;
const HOSTS = 9;

/** Nine hosts at work: most agree, one differs, one is gone, one is muted with an editor open. */
export async function main([target, draw]: readonly string[]): Promise<void> {
  const { drawScreen } = (await import(draw!)) as {
    drawScreen(text: string, about: { columns: number; rows: number; title: string }): string;
  };
  const dist = mkdtempSync(resolve("node_modules/.volley-shell-"));
  const fleet = await bootFleet({ count: HOSTS });
  try {
    execFileSync(process.execPath, ["build.mjs", "--no-types", "--out", join(dist, "dist")]);
    writeFileSync(join(dist, "package.json"), execFileSync("cat", ["package.json"]));
    const inventory = join(fleet.folder, "inventory.yaml");
    writeFileSync(inventory, fleet.inventoryYaml({ user: "plain" }));
    const command = [process.execPath, join(dist, "dist/cli/main.js"), "shell", "-i", inventory];
    const env = { HOME: fleet.folder };
    const terminal = openTerminal(command, { columns: COLUMNS, rows: ROWS, cwd: fleet.folder, env });
    try {
      const run = async (line: string): Promise<void> => {
        terminal.type(line);
        terminal.press("Enter");
        await sleep(700);
      };
      await fleet.hosts[3]!.exec(["systemctl", "stop", "cron"]);
      await terminal.see("to all fleet[1-9]");
      await terminal.see("plain@fleet9");
      await run("clear");
      await run("ls --color /etc/apt");
      await run("systemctl is-active cron");
      await terminal.see("differs fleet4");
      terminal.press("C-]", "Down", "Right");
      await sleep(200);
      terminal.press("C-]", "o");
      await run("printf 'Welcome.\\n' > motd; vi motd");
      terminal.press("C-]", "a", "C-]", "m");
      await fleet.hosts[6]!.kill();
      await terminal.see("gone fleet7");
      await run("date +%A");
      await sleep(2_500);
      const title = "volley shell -l fleet";
      writeFileSync(target!, drawScreen(terminal.capture(), { columns: COLUMNS, rows: ROWS, title }));
    } finally {
      await terminal.close();
    }
  } finally {
    rmSync(dist, { recursive: true });
    await fleet.stop();
  }
}
