import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { builtCli } from "./lib/cli.ts";
import { fleetStarter } from "./lib/drive.ts";
import { openTerminal, tmuxAvailable } from "./lib/tmux.ts";

const startFleet = fleetStarter();
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

it.skipIf(!tmuxAvailable())(
  "shows a host's output on Enter, only those that failed on f, and leads into a shell on them",
  async () => {
    const fleet = await startFleet({ count: 3, env: { PS1: "sh> " } });
    const directory = mkdtempSync(join(tmpdir(), "volley-exec-screen-"));
    closers.push(() => rmSync(directory, { recursive: true, force: true }));
    writeFileSync(join(directory, "inventory.yaml"), fleet.inventoryYaml());
    const line = "echo said by $VOLLEY_EMBEDDED_HOST; [ $VOLLEY_EMBEDDED_HOST != web02 ]";
    const ways = ["-i", "inventory.yaml", "--known-hosts", fleet.knownHostsPath, "--ssh-config", "none"];
    const terminal = openTerminal(
      [process.execPath, await builtCli(), "exec", ...ways, "-o", "ink", "all", line],
      {
        columns: 80,
        rows: 24,
        cwd: directory,
        env: { HOME: directory },
      },
    );
    closers.push(() => terminal.close());
    const rows = await terminal.see("s shell on failed  q leave");
    expect(rows).toMatch(/web01.*\n(.*\n)*.*web03/);
    // A command is no task: it has no states to count.
    expect(rows).toMatch(/^fleet 2 ok$/m);
    expect(rows).not.toMatch(/unchanged|changed|tasks/);
    terminal.type("f");
    await terminal.see((screen) => screen.includes("web02") && !screen.includes("web01"));
    terminal.press("Enter");
    await terminal.see("said by web02");
    terminal.press("Escape");
    await terminal.see("s shell on failed");
    terminal.type("s");
    await terminal.see(/^sh>/m);
    terminal.type("echo $((6 * 7)) on $VOLLEY_EMBEDDED_HOST");
    terminal.press("Enter");
    await terminal.see("42 on web02");
    terminal.press("C-d");
    await terminal.see("exit 2");
  },
);

it.skipIf(!tmuxAvailable())("shows the words of a command as a shell takes them", async () => {
  const directory = mkdtempSync(join(tmpdir(), "volley-exec-screen-"));
  closers.push(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, "inventory"), "h1 ansible_connection=local\n");
  const flags = ["exec", "-i", "inventory", "-o", "ink", "all", "--", "sh", "-c", 'echo "a b"', "it's"];
  const terminal = openTerminal([process.execPath, await builtCli(), ...flags], {
    columns: 80,
    rows: 24,
    cwd: directory,
    env: { HOME: directory },
  });
  closers.push(() => terminal.close());
  await terminal.see(`sh -c 'echo "a b"' 'it'\\''s'`);
  await terminal.see("q leave");
  terminal.type("q");
  await terminal.see("exit 0");
});

it.skipIf(!tmuxAvailable())("says once that a host is unreachable, and why", async () => {
  const fleet = await startFleet({ count: 1, faults: () => ({ kind: "refuse" }) });
  const directory = mkdtempSync(join(tmpdir(), "volley-exec-screen-"));
  closers.push(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, "inventory.yaml"), fleet.inventoryYaml());
  const flags = ["-i", "inventory.yaml", "--ssh-config", "none", "--connect-retries", "0", "-o", "ink"];
  const terminal = openTerminal([process.execPath, await builtCli(), "exec", ...flags, "all", "true"], {
    columns: 80,
    rows: 24,
    cwd: directory,
    env: { HOME: directory },
  });
  closers.push(() => terminal.close());
  const rows = await terminal.see("q leave");
  expect(rows).toMatch(/web01 +unreachable: refused the connection/);
  terminal.type("q");
  await terminal.see("exit 4");
});

it.skipIf(!tmuxAvailable())("leaves the held screen on SIGTERM, with the outcome below", async () => {
  const directory = mkdtempSync(join(tmpdir(), "volley-exec-screen-"));
  closers.push(() => rmSync(directory, { recursive: true, force: true }));
  const hosts = "h1 ansible_connection=local\nh2 ansible_connection=local\n";
  writeFileSync(join(directory, "inventory"), hosts);
  // The shell tells the process's id, and then the exit code: 130, as for Ctrl-C.
  const script = `"$0" "$@" & echo $! >pid; fg >/dev/null; echo "code $?"; exec sleep 60`;
  const command = [process.execPath, await builtCli(), "exec", "-i", "inventory", "-o", "ink", "all", "true"];
  const terminal = openTerminal(["bash", "-mc", script, ...command], {
    columns: 80,
    rows: 24,
    cwd: directory,
    env: { HOME: directory },
  });
  closers.push(() => terminal.close());
  await terminal.see("q leave");
  process.kill(Number(readFileSync(join(directory, "pid"), "utf8")), "SIGTERM");
  const rows = await terminal.see("code 130");
  expect(rows).toContain("2 hosts ok");
});
