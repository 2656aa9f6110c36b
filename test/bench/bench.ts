import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { stringify } from "yaml";
import type { Event, Summary } from "../../src/core/events.ts";
import { bootFleet, type Fleet } from "../fleet/lib/fleet.ts";

/** What one whole process took. */
interface Timing {
  readonly wallMs: number;
  readonly cpuMs: number;
  /** Milliseconds per phase: of the build, and of the slowest host otherwise. */
  readonly phases: Readonly<Record<string, number>>;
  readonly uploadedBytes: number;
}

const PHASES = ["build", "connect", "authenticate", "upload", "start", "facts", "tasks", "collect"];
const EXPECTED_AGAIN = { unchanged: 87, changed: 0, skipped: 1, failed: 0, notExecuted: 0 };

/** Times the 88 actions on systemd hosts and prints a table. */
export async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { hosts: { type: "string", default: "1" }, runs: { type: "string", default: "5" } },
  });
  const count = Number(values.hosts);
  const runs = Number(values.runs);
  if (!existsSync("dist/cli/main.js")) throw new Error("build first: npm run build");
  const fleet = await bootFleet({ count });
  const bench = await prepare(fleet);
  try {
    const first = await bench.run("first");
    console.log(
      `bundle: ${(bench.bundleBytes() / 1024).toFixed(1)} KiB; ${count} hosts; ${runs} runs of each, medians in ms\n`,
    );
    const cold: Timing[] = [];
    const warm: Timing[] = [];
    const local: Timing[] = [];
    for (let index = 0; index < runs; index++) {
      cold.push(await bench.run("cold"));
      warm.push(await bench.run("warm"));
      local.push(await bench.local());
    }
    const rows = [
      ["first run (everything changes)", [first]],
      ["cold: nothing built, nothing sent", cold],
      ["warm: built and sent before", warm],
      ["on the host itself: sh bundle --local", local],
    ] as const;
    console.log(
      ["", "wall", "cpu", ...PHASES]
        .map((word, at) => (at === 0 ? word.padEnd(38) : word.padStart(12)))
        .join(""),
    );
    for (const [name, timings] of rows) {
      const cells = [
        median(timings.map(({ wallMs }) => wallMs)),
        median(timings.map(({ cpuMs }) => cpuMs)),
        ...PHASES.map((phase) => median(timings.map(({ phases }) => phases[phase] ?? 0))),
      ];
      console.log(
        name.padEnd(38) + cells.map((cell) => cell.toFixed(cell < 10 ? 1 : 0).padStart(12)).join(""),
      );
    }
    const warmCpu = median(warm.map(({ cpuMs }) => cpuMs));
    console.log(
      `\ncpu is the controller's; per host, warm: ${(warmCpu / count).toFixed(1)} ms (start-up included)`,
    );
  } finally {
    bench.close();
    await fleet.stop();
  }
}

interface Bench {
  run(kind: "first" | "cold" | "warm"): Promise<Timing>;
  local(): Promise<Timing>;
  bundleBytes(): number;
  close(): void;
}

async function prepare(fleet: Fleet): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), "volley-bench-"));
  const inventory = join(folder, "inventory.yaml");
  const hosts = Object.fromEntries(
    fleet.hosts.map(({ name, address, port }) => [name, { ansible_host: address, ansible_port: port }]),
  );
  const vars = { ansible_user: "root", ansible_ssh_private_key_file: fleet.privateKeyPath };
  writeFileSync(inventory, stringify({ all: { vars, hosts } }));
  const env = {
    ...process.env,
    XDG_CACHE_HOME: join(folder, "cache"),
    XDG_STATE_HOME: join(folder, "state"),
  };
  const bundle = join(folder, "bench.run");
  await timed(["node", "dist/cli/main.js", "bundle", "test/bench/site.ts", "-o", bundle], env);
  for (const { root } of fleet.hosts) writeFileSync(join(root, "root/bench.run"), "");
  const [firstHost] = fleet.hosts;
  const { copyFileSync } = await import("node:fs");
  copyFileSync(bundle, join(firstHost!.root, "root/bench.run"));

  const run: Bench["run"] = async (kind) => {
    if (kind === "cold") {
      rmSync(env.XDG_CACHE_HOME, { recursive: true, force: true });
      for (const host of fleet.hosts) await host.exec(["rm", "-rf", "/root/.cache/volley"]);
    }
    const command = [
      "node",
      "dist/cli/main.js",
      "run",
      "test/bench/site.ts",
      "-i",
      inventory,
      "--known-hosts",
      fleet.knownHostsPath,
      "-o",
      "json",
    ];
    const { wallMs, cpuMs, stdout } = await timed(command, env);
    const events = stdout
      .split("\n")
      .flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as Event] : []));
    const end = events.find((event) => event.type === "run:end");
    if (end?.type !== "run:end") throw new Error(`the run did not end:\n${stdout}`);
    verify(end.summary, kind);
    const build = events.find((event) => event.type === "run:build");
    const phases: Record<string, number> = { build: build?.type === "run:build" ? build.elapsedMs : 0 };
    for (const host of end.summary.hosts) {
      for (const [phase, elapsedMs] of Object.entries(host.phases))
        phases[phase] = Math.max(phases[phase] ?? 0, elapsedMs);
    }
    return {
      wallMs,
      cpuMs,
      phases,
      uploadedBytes: end.summary.hosts.reduce((sum, host) => sum + host.uploadedBytes, 0),
    };
  };
  return {
    run,
    local: async () => {
      const started = performance.now();
      const { code, stdout, stderr } = await firstHost!.exec([
        "bash",
        "-c",
        "time sh /root/bench.run --local bench",
      ]);
      if (code !== 0) throw new Error(`${stdout}${stderr}`);
      const read = (word: string): number => {
        const [, minutes, seconds] = new RegExp(`${word}\\s+(\\d+)m([\\d.]+)s`).exec(stderr) ?? [];
        return (Number(minutes) * 60 + Number(seconds)) * 1000;
      };
      return {
        wallMs: read("real") || performance.now() - started,
        cpuMs: read("user") + read("sys"),
        phases: {},
        uploadedBytes: 0,
      };
    },
    bundleBytes: () => statSync(bundle).size,
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function verify({ hosts }: Summary, kind: string): void {
  for (const { host, outcome, tally, error, failures } of hosts) {
    const again = kind === "first" || JSON.stringify(tally) === JSON.stringify(EXPECTED_AGAIN);
    if (outcome !== "ok" || !again)
      throw new Error(`${host} is ${outcome}: ${JSON.stringify({ tally, error, failures })}`);
  }
}

/** Runs a command to its end; the shell's `times` tells what processor time it took. */
async function timed(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ readonly wallMs: number; readonly cpuMs: number; readonly stdout: string }> {
  const startedAt = performance.now();
  const child = spawn("sh", ["-c", '"$@"; times >&2', "sh", ...command], {
    env,
    cwd: resolve("."),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString("utf8");
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString("utf8");
  });
  await new Promise((done) => child.once("close", done));
  const wallMs = performance.now() - startedAt;
  const children = stderr.trim().split("\n").at(-1) ?? "";
  const cpuMs = [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, m, s]) => sum + (Number(m) * 60 + Number(s)) * 1000,
    0,
  );
  return { wallMs, cpuMs, stdout };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
