import { spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { stringify } from "yaml";
import type { Comparison } from "../../src/compare/comparison.ts";
import type { Results } from "../../src/compare/results.ts";
import { median } from "../../src/compare/statistics.ts";
import { bootFleet, type Fleet } from "../fleet/lib/fleet.ts";
import { ANSIBLE_ENV, hasAnsible, installPython, writeAnsiblePlaybook } from "./ansible.ts";

const SITE = "test/bench/site.ts";
const OPTIONS = {
  hosts: { type: "string", default: "1,10" },
  runs: { type: "string", default: "5" },
  rtt: { type: "string", default: "0,50ms" },
  methods: { type: "string", default: "bundle,direct" },
  "ansible-runs": { type: "string", default: "1" },
} as const;

type Measured = Comparison & { readonly results: Results };

/** Times the 88 actions on systemd hosts: each way cold and warm, near and far, and Ansible where it is installed. */
export async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  if (!existsSync("dist/cli/main.js")) throw new Error("build first: npm run build");
  const rows: string[] = [];
  for (const count of values.hosts.split(",").map(Number)) {
    const fleet = await bootFleet({ count });
    const folder = mkdtempSync(join(tmpdir(), "volley-bench-"));
    try {
      rows.push(...(await measure(fleet, folder, values)));
    } finally {
      rmSync(folder, { recursive: true, force: true });
      await fleet.stop();
    }
  }
  console.log(`\n${[machine(), "", TITLES, TITLES.replace(/[^|]+/g, " --- "), ...rows].join("\n")}`);
}

const TITLES = "| hosts | what | wall, median | spread | to warm bundle | controller CPU a host |";

function machine(): string {
  const [first] = cpus();
  return `${cpus().length} × ${first?.model ?? "?"}, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}`;
}

async function measure(
  fleet: Fleet,
  folder: string,
  { runs, rtt, methods, "ansible-runs": ansibleRuns }: Record<keyof typeof OPTIONS, string>,
): Promise<readonly string[]> {
  const count = fleet.hosts.length;
  const inventory = join(folder, "inventory.yaml");
  const hosts = Object.fromEntries(
    fleet.hosts.map(({ name, address, port }) => [name, { ansible_host: address, ansible_port: port }]),
  );
  const vars = { ansible_user: "root", ansible_ssh_private_key_file: fleet.privateKeyPath };
  writeFileSync(inventory, stringify({ all: { vars, hosts } }));
  const env = {
    ...process.env,
    ...ANSIBLE_ENV,
    XDG_CACHE_HOME: join(folder, "cache"),
    XDG_STATE_HOME: join(folder, "state"),
  };
  const volley = (...words: readonly string[]): Promise<number> =>
    timed(["node", "dist/cli/main.js", ...words], env);
  const reach = ["-i", inventory, "--known-hosts", fleet.knownHostsPath];
  const compare = async (...words: readonly string[]): Promise<Measured> => {
    const json = join(folder, "compare.json");
    await volley("compare", SITE, ...reach, "--warm-ups", "1", ...words, "--json", json);
    return JSON.parse(readFileSync(json, "utf8")) as Measured;
  };

  const firstMs = await volley("run", SITE, ...reach, "-o", "json");
  const measured = await compare("--methods", methods, "--runs", runs, "--both", "--rtt", rtt);
  const warm = measured.results.conditions.find(
    ({ condition }) => condition.cache === "warm" && condition.roundTripMs === 0,
  )?.methods[0]?.measures.wallMs?.median;
  const ownMs = await ownWork(fleet, folder, { runs: Number(runs), volley });
  const rows = [row(count, "first run: everything changes", firstMs, warm)];
  for (const { condition, methods: compared } of measured.results.conditions) {
    for (const { method, measures } of compared) {
      const { wallMs, controllerCpuMs } = measures;
      if (wallMs === undefined) continue;
      const what = `${method}, ${condition.cache}${condition.roundTripMs === 0 ? "" : `, ${condition.roundTripMs} ms away`}`;
      rows.push(
        row(count, what, wallMs.median, warm, {
          spreadMs: wallMs.interquartileRange,
          ...(controllerCpuMs === undefined ? {} : { cpuMs: controllerCpuMs.median / count }),
        }),
      );
    }
  }
  rows.push(row(count, "the hosts' own work: sh bundle --local, all at once", ownMs, warm));
  for (const { method, cache, roundTrips } of measured.results.slopes)
    rows.push(`| ${count} | ${method}, ${cache}: round trips waited for | ${roundTrips.toFixed(1)} | | | |`);
  if (hasAnsible() && Number(ansibleRuns) > 0) {
    await installPython(fleet.hosts);
    const playbook = writeAnsiblePlaybook(join(folder, "ansible"));
    const beside = await compare(
      ...["--methods", "bundle", "--runs", ansibleRuns, "--warm-ups", "0", "--rtt", "0"],
      ...["--also", `ansible=ansible-playbook -i {inventory} ${playbook}`],
    );
    for (const { methods: compared } of beside.results.conditions) {
      const [ours, theirs] = compared.map(({ measures }) => measures.wallMs?.median);
      if (theirs !== undefined)
        rows.push(row(count, "Ansible, with pipelining, nothing to change", theirs, ours));
    }
  }
  return rows;
}

function row(
  count: number,
  what: string,
  wallMs: number,
  warmMs: number | undefined,
  { spreadMs, cpuMs }: { readonly spreadMs?: number; readonly cpuMs?: number } = {},
): string {
  const ratio = warmMs === undefined ? "" : (wallMs / warmMs).toFixed(2);
  const spread = spreadMs === undefined ? "" : `${spreadMs.toFixed(0)} ms`;
  const cpu = cpuMs === undefined ? "" : `${cpuMs.toFixed(0)} ms`;
  return `| ${count} | ${what} | ${wallMs.toFixed(0)} ms | ${spread} | ${ratio} | ${cpu} |`;
}

/** Measure the hosts' own work: start their processes by hand, all at once. Return the median of several times. */
async function ownWork(
  { hosts }: Fleet,
  folder: string,
  { runs, volley }: { readonly runs: number; volley(...words: readonly string[]): Promise<number> },
): Promise<number> {
  const bundle = join(folder, "bench.run");
  await volley("bundle", SITE, "-o", bundle);
  console.log(`bundle: ${(statSync(bundle).size / 1024).toFixed(1)} KiB`);
  for (const { root } of hosts) copyFileSync(bundle, join(root, "root/bench.run"));
  const times: number[] = [];
  for (let index = 0; index <= runs; index++) {
    const startedAt = performance.now();
    const ends = await Promise.all(
      hosts.map((host) => host.exec(["sh", "/root/bench.run", "--local", "bench"])),
    );
    const failed = ends.find(({ code }) => code !== 0);
    if (failed !== undefined) throw new Error(`${failed.stdout}${failed.stderr}`);
    // The first one reads what the disk has not been asked for yet.
    if (index > 0) times.push(performance.now() - startedAt);
  }
  return median(times)!;
}

/** Run a command to its end, and show its output. Return the time in milliseconds. */
async function timed(command: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const startedAt = performance.now();
  const [program, ...words] = command;
  const isRun = words.includes("run");
  const child = spawn(program!, words, {
    env,
    cwd: resolve("."),
    stdio: ["ignore", isRun ? "ignore" : "inherit", "inherit"],
  });
  const code = await new Promise((done) => child.once("close", done));
  if (code !== 0) throw new Error(`${words.slice(0, 3).join(" ")} ended with ${String(code)}`);
  return performance.now() - startedAt;
}
