// Measures how much hosts in trouble cost healthy ones: a tenth of the fleet refuses, a tenth never answers, a tenth
// is cut.
// node test/bench/fleet-of-trouble.mjs [--hosts 500] [--forks 50]; needs a built dist.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { startEmbeddedHosts } from "./lib/embedded-fleet.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const controller = join(root, "dist", "controller.js");
const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "500" },
    forks: { type: "string", default: "50" },
    measure: { type: "string" },
  },
});

if (values.measure === undefined) await compare();
else await measure(values.measure);

/** Runs the good hosts alone, then on a fresh fleet all of them, each time in a process of its own. */
async function compare() {
  if (!existsSync(controller)) throw new Error("there is no dist: npm run build");
  const results = [];
  for (const trouble of [false, true]) {
    const directory = mkdtempSync(join(tmpdir(), "volley-trouble-"));
    const fleet = await startEmbeddedHosts({ contents: hostsOf(trouble) });
    try {
      prepare(directory, fleet.description);
      const result = await measureApart(directory);
      results.push(result);
      process.stdout.write(`${trouble ? "with trouble" : "good alone  "}  ${describe(result)}\n`);
    } finally {
      await fleet.stop();
      rmSync(directory, { recursive: true, force: true });
    }
  }
  const [alone, both] = results;
  process.stdout.write(`the good ones: ratio ${(both.goodMs / alone.goodMs).toFixed(2)}\n`);
}

/** The program that serves the hosts: the good ones, or all. */
function hostsOf(trouble) {
  return `
import { startEmbeddedFleet } from "./src/embedded/fleet.ts";
const count = ${Number(values.hosts)};
const good = Array.from({ length: count }, (_, index) => index).filter((index) => ![3, 5, 7].includes(index % 10));
const fleet = await startEmbeddedFleet({
  count: ${trouble} ? count : good.length,
  faults: (index) => {
    if (!${trouble}) return undefined;
    if (index % 10 === 3) return { kind: "refuse" };
    if (index % 10 === 5) return { kind: "hang" };
    if (index % 10 === 7) return { kind: "dropAfterBytes", bytes: 2_500 + ((index * 7919) % 4_000), direction: "out", times: 1 };
    return undefined;
  },
});
process.stdout.write(JSON.stringify({ inventoryYaml: fleet.inventoryYaml(), knownHostsPath: fleet.knownHostsPath }) + "\\n");
process.stdin.resume().once("end", () => void fleet.stop().then(() => process.exit(0)));
`;
}

function prepare(directory, { inventoryYaml, knownHostsPath }) {
  writeFileSync(join(directory, "package.json"), "{}\n");
  writeFileSync(join(directory, "inventory.yaml"), inventoryYaml);
  writeFileSync(join(directory, "known-hosts-path"), knownHostsPath);
  writeFileSync(
    join(directory, "site.ts"),
    `import { copy, definePlaybook, shell } from "volley";
export default definePlaybook([
  { name: "One", hosts: "all", tasks: ({ task, facts }) => {
    task("Write", copy({ content: "a\\n", dest: \`\${facts.env.HOME}/a\` }));
    task("Count", shell(\`echo x >> \${facts.env.HOME}/marks\`));
  } },
]);
`,
  );
  mkdirSync(join(directory, "cache"));
}

async function measureApart(directory) {
  const args = [fileURLToPath(import.meta.url), "--measure", directory, "--forks", values.forks];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      ...process.env,
      XDG_CACHE_HOME: join(directory, "cache"),
      XDG_STATE_HOME: join(directory, "state"),
    },
  });
  const [line] = await once(createInterface(child.stdout), "line");
  return JSON.parse(line);
}

/** Of a fleet without trouble all are, whatever their names: none of it ends later than the last of these. */
function isGood(host) {
  return !/[468]$/.test(host);
}

function describe({ hosts, outcomes, wallMs, goodMs, peakMib, left }) {
  const ended = Object.entries(outcomes).filter(([, many]) => many > 0);
  return [
    `${hosts} hosts: ${ended.map(([outcome, many]) => `${many} ${outcome}`).join(", ")}`,
    `the good ones in ${(goodMs / 1000).toFixed(2)} s, all in ${(wallMs / 1000).toFixed(2)} s`,
    `peak RSS ${peakMib.toFixed(0)} MiB`,
    `left open: ${Object.entries(left)
      .map(([kind, many]) => `${many} ${kind}`)
      .join(", ")}`,
  ].join("; ");
}

/** Do one run in this process, and print its outcome as a line of JSON. */
async function measure(directory) {
  const { run } = await import(pathToFileURL(controller).href);
  const before = count(process.getActiveResourcesInfo());
  const startedAt = performance.now();
  const running = run({
    inventory: join(directory, "inventory.yaml"),
    playbook: join(directory, "site.ts"),
    knownHostsFiles: [readFileSync(join(directory, "known-hosts-path"), "utf8")],
    concurrency: Number(values.forks),
    connectTimeoutMs: 10_000,
    cwd: directory,
  });
  let goodMs = 0;
  for await (const event of running)
    if (event.type === "host:end" && isGood(event.host)) goodMs = performance.now() - startedAt;
  const { outcomes, hosts } = await running.summary;
  for (const { host, outcome, error } of hosts)
    if (outcome !== "ok" && !/[46]$/.test(host))
      process.stderr.write(`${host} ${outcome}: ${error?.message}\n`);
  const wallMs = performance.now() - startedAt;
  // Connections that were closed are given their time to be.
  await sleep(1_500);
  const after = count(process.getActiveResourcesInfo());
  const left = { sockets: 0, timers: 0, processes: 0 };
  const kinds = { TCPSocketWrap: "sockets", Timeout: "timers", ProcessWrap: "processes" };
  for (const [kind, name] of Object.entries(kinds)) left[name] = (after[kind] ?? 0) - (before[kind] ?? 0);
  process.stdout.write(
    `${JSON.stringify({ hosts: hosts.length, outcomes, wallMs, goodMs, peakMib: process.resourceUsage().maxRSS / 1024, left })}\n`,
  );
  process.exit(0);
}

function count(kinds) {
  const counts = {};
  for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}
