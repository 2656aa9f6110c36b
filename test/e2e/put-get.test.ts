import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import type { EmbeddedFleet, EmbeddedFleetOptions } from "../../src/embedded/options.ts";
import { builtCli, type CliEnd, volley } from "./lib/cli.ts";
import { volleyHere } from "./lib/here.ts";
import { scratchDirectory } from "./lib/project.ts";

const scratch = scratchDirectory();
const fleets: EmbeddedFleet[] = [];

beforeAll(async () => {
  await builtCli();
});
afterEach(async () => {
  await Promise.all(fleets.splice(0).map((fleet) => fleet.stop()));
});

interface Site {
  readonly fleet: EmbeddedFleet;
  readonly directory: string;
  homeOf(index: number): string;
  run(args: readonly string[], on?: Parameters<typeof volley>[1]["on"]): Promise<CliEnd>;
}

async function site(options: EmbeddedFleetOptions): Promise<Site> {
  const fleet = await startEmbeddedFleet(options);
  fleets.push(fleet);
  const directory = mkdtempSync(join(scratch(), "put-"));
  writeFileSync(join(directory, "hosts.yaml"), fleet.inventoryYaml());
  return {
    fleet,
    directory,
    homeOf: (index) => fleet.hosts[index]!.home,
    run: ([command, ...rest], on) => {
      const reach = ["-i", "hosts.yaml", "--ssh-config", "none", "--known-hosts", fleet.knownHostsPath];
      const args = [command!, ...reach, "--connect-retries", "0", ...rest];
      const given = { cwd: directory, env: { LC_ALL: "C.UTF-8" } };
      return on === undefined ? volleyHere(args, given) : volley(args, { ...given, on });
    },
  };
}

function eventsOf({ stdout }: CliEnd): readonly Readonly<Record<string, unknown>>[] {
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("volley put and get", () => {
  it("send a tree to some hosts, and fetch it back", async () => {
    const { run, directory, homeOf } = await site({ count: 3 });
    mkdirSync(join(directory, "app/conf"), { recursive: true });
    writeFileSync(join(directory, "app/conf/a.conf"), "a = 1\n");
    writeFileSync(join(directory, "app/big"), randomBytes(300_000));
    const put = await run(["put", "-p", "web[01-02]", "app", "srv/app"]);
    expect(put).toMatchObject({ code: 0, stderr: "" });
    expect(put.stdout).toMatch(/^web01 {2}✔ ok {2}2 files sent, 0 unchanged, 293 kB at .*$/m);
    expect(put.stdout).toMatch(/✔ 2 hosts ok in .* files: 4 sent .*586 kB sent, .*; verified by SHA-256/);
    expect(readFileSync(join(homeOf(1), "srv/app/conf/a.conf"), "utf8")).toBe("a = 1\n");
    expect(existsSync(join(homeOf(2), "srv"))).toBe(false);

    const again = await run(["put", "-p", "web[01-02]", "app", "srv/app"]);
    expect(again.stdout).toMatch(/files: 4 unchanged {2}0 B sent; 586 kB there already$/m);
    const get = await run(["get", "-l", "web02", "all", "srv/app", "out"]);
    expect(get).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(join(directory, "out/web02/app/conf/a.conf"), "utf8")).toBe("a = 1\n");
    expect(existsSync(join(directory, "out/web01"))).toBe(false);
  });

  it("go on where they were cut, here by Ctrl-C", async () => {
    const bytes = 40_000_000;
    const { run, directory, homeOf, fleet } = await site({ count: 2 });
    writeFileSync(join(directory, "big"), randomBytes(bytes));
    const cut = await run(["put", "-o", "json", "all", "big", "big"], (child) => {
      const poll = async (): Promise<void> => {
        while (fleet.hosts.some(({ stats }) => stats.sftpBytesIn < 2_000_000)) await sleep(5);
        child.kill("SIGINT");
      };
      void poll();
    });
    expect(cut.code).toBe(130);
    const partOf = (home: string): string =>
      readdirSync(home).find((name) => name.startsWith(".big.volley-"))!;
    const held = [0, 1].map((index) => statSync(join(homeOf(index), partOf(homeOf(index)))).size);
    expect(Math.min(...held)).toBeGreaterThan(0);
    expect(existsSync(join(homeOf(0), "big"))).toBe(false);
    const again = await run(["put", "-o", "json", "all", "big", "big"]);
    expect(again.code).toBe(0);
    const ends = eventsOf(again).filter(({ type }) => type === "put:end");
    expect(ends.map(({ keptBytes }) => keptBytes).sort()).toEqual([...held].sort());
    expect(eventsOf(again).at(-1)).toMatchObject({
      type: "put:total",
      hosts: 2,
      sentBytes: 2 * bytes - held[0]! - held[1]!,
      keptBytes: held[0]! + held[1]!,
      files: { resumed: 2 },
      exitCode: 0,
    });
    for (const index of [0, 1])
      expect(readFileSync(join(homeOf(index), "big")).equals(readFileSync(join(directory, "big")))).toBe(
        true,
      );
  });

  it("go on where the connection was cut", async () => {
    const { run, directory, homeOf } = await site({
      count: 2,
      faults: (index) => (index === 0 ? { kind: "dropAfterBytes", bytes: 3_000_000, times: 1 } : undefined),
    });
    writeFileSync(join(directory, "big"), randomBytes(8_000_000));
    const cut = await run(["put", "all", "big", "big"]);
    expect(cut.code).toBe(4);
    expect(cut.stdout).toMatch(/^✘ lost {2}web01 {2}/m);
    const again = await run(["put", "all", "big", "big"]);
    expect(again.stdout).toMatch(/✔ 2 hosts ok .*files: 1 resumed, 1 unchanged/);
    expect(readFileSync(join(homeOf(0), "big")).equals(readFileSync(join(directory, "big")))).toBe(true);
  });

  it("name what goes wrong, failures first, and how many hosts it is", async () => {
    const { run, directory } = await site({
      count: 4,
      faults: (index) =>
        [
          { kind: "diskFull", afterBytes: 100 } as const,
          { kind: "readOnlyHome" } as const,
          { kind: "refuse" } as const,
          undefined,
        ][index],
    });
    writeFileSync(join(directory, "file"), "x".repeat(1_000));
    const { code, stdout } = await run(["put", "all", "file", "file"]);
    expect(code).toBe(4);
    const table = stdout.trim().split("\n").slice(-6);
    for (const expected of [
      /^✘ failed {7}web01 {2}cannot write .*\/file: no space left on the host\n {15}hint: free some room/m,
      /^✘ failed {7}web02 {2}cannot write .*\/file: permission denied\n {15}hint: log in as/m,
      /^✘ unreachable {2}web03 {2}.*refused/m,
    ])
      expect(table.join("\n")).toMatch(expected);
    expect(table[5]).toMatch(/^4 hosts: 2 failed, 1 unreachable, 1 ok in .* files: 1 sent, 1 failed/);
  });

  it("only say what they would do with --check", async () => {
    const { run, directory, homeOf } = await site({ count: 1 });
    writeFileSync(join(directory, "file"), "x");
    const { code, stdout } = await run(["put", "-C", "all", "file", "new/"]);
    expect(code).toBe(0);
    expect(stdout).toContain(`web01  would make the directory ${homeOf(0)}/new\n`);
    expect(stdout).toContain(`web01  would send ${homeOf(0)}/new/file (1 B)\n`);
    expect(stdout).toMatch(/✔ 1 host ok .*files: 1 to be sent/);
    expect(existsSync(join(homeOf(0), "new"))).toBe(false);
  });

  it("refuse what cannot be meant before any host is touched", async () => {
    const { run, fleet, directory } = await site({ count: 1 });
    expect(await run(["put", "all", "none"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("write: volley put web ./dist /srv/app"),
    });
    expect(await run(["put", "all", "none", "x"])).toMatchObject({
      code: 1,
      stderr: "volley: cannot put none: there is no such file\n",
    });
    writeFileSync(join(directory, "file"), "x");
    expect(await run(["put", "nobody", "file", "x"])).toMatchObject({ code: 1 });
    expect(fleet.hosts[0]!.stats.connections).toBe(0);
    rmSync(join(directory, "file"));
  });
});
