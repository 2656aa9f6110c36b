// Measures runs by a queue beside a run without: time, processor time and memory by the number of hosts.
// node test/bench/queue.mjs [--hosts 100,500,1000] [--beside 500] [--tasks 10] [--workers 4] [--forks 48] [--svg FILE]
// [--profile DIR]; needs a built dist, and redis-server. The hosts are sessions against a recorded agent.
import {
  closeSync,
  createReadStream,
  existsSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { measure } from "./lib/measure.mjs";
import { drawPlot } from "./lib/plot.mjs";
import { startQueue, volley } from "./lib/queue-processes.mjs";
import { recordAgent, writeInventory } from "./lib/recorded-agent.mjs";

const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "100,500,1000" },
    beside: { type: "string", default: "500" },
    tasks: { type: "string", default: "10" },
    workers: { type: "string", default: "4" },
    forks: { type: "string", default: "48" },
    svg: { type: "string" },
    profile: { type: "string" },
  },
});
const [beside, tasks, workers, forks] = ["beside", "tasks", "workers", "forks"].map((name) =>
  Number(values[name]),
);

if (!existsSync(volley)) throw new Error("there is no dist: npm run build");
const directory = mkdtempSync(join(tmpdir(), "volley-bench-queue-"));
const env = {
  ...process.env,
  XDG_CACHE_HOME: join(directory, "cache"),
  XDG_STATE_HOME: join(directory, "state"),
  VOLLEY_QUEUE_KEY_FILE: join(directory, "key"),
};
try {
  await compare();
  rmSync(directory, { recursive: true, force: true });
} catch (thrown) {
  process.stderr.write(`the files of the run that failed are in ${directory}\n`);
  throw thrown;
}

async function compare() {
  writeFileSync(join(directory, "package.json"), "{}\n");
  writeFileSync(
    join(directory, "site.ts"),
    `import { copy, definePlaybook } from "volley";
export default definePlaybook([
  { hosts: "all", tasks: ({ task }) => {
    for (let n = 0; n < ${tasks}; n++) task("Write file " + n, copy({ content: "a\\n", dest: "~/" + n }));
  } },
]);
`,
  );
  const recorded = recordAgent(directory, env);
  say(
    `${cpus().length} × ${cpus()[0].model}, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}`,
  );
  say(`${tasks} tasks a host; the agent said ${recorded.events} lines, ${recorded.bytes} bytes`);
  say(
    "| hosts | way | wall, s | ms a host | to one controller | CPU ms a host: controller, workers, Redis | to one controller | peak RSS, MiB: controller, largest worker | Redis, peak MiB (KiB a host) | events/s | load |",
  );
  say(`| ${"--- | ".repeat(11).trim()}`);
  const single = await runOnce(beside, undefined);
  show(single, single);
  const rows = [];
  for (const hosts of values.hosts.split(",").map(Number)) {
    const queue = await startQueue({ directory, env, workers, forks, profile: profileOf("worker", hosts) });
    try {
      const row = await runOnce(hosts, queue);
      show(row, single);
      rows.push(row);
    } finally {
      await queue.stop();
    }
  }
  if (values.svg !== undefined) writeFileSync(values.svg, plot(rows, single));
}

/** Do one run, by the queue or without, and check that it is complete. */
async function runOnce(hosts, queue) {
  writeInventory(directory, hosts);
  const file = join(directory, "events.ndjson");
  const stdout = openSync(file, "w");
  const before = queue?.usage();
  const result = await measure(
    [
      ...profileOf(queue === undefined ? "single" : "controller", hosts),
      ...[volley, "run", "-i", join(directory, "inventory.yaml"), "--output", "json", "--forks", `${forks}`],
      ...(queue === undefined ? [] : ["--queue", queue.url]),
      join(directory, "site.ts"),
    ],
    directory,
    { cwd: directory, env, stdout },
  );
  closeSync(stdout);
  const after = queue?.usage();
  const events = await checkEvents(file, hosts);
  return { hosts, events, ...result, load: loadavg()[0], queue: after && (await queue.since(before, after)) };
}

/** Check that every host has ended well with all its tasks, and that no event is missing; returns the number of events. */
async function checkEvents(file, hosts) {
  const ended = new Set();
  let count = 0;
  let summary;
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const event = JSON.parse(line);
    if (event.seq !== ++count) throw new Error(`event ${event.seq} is at ${count}`);
    if (event.type === "host:end" && event.outcome === "ok" && event.tally.unchanged === tasks)
      ended.add(event.host);
    if (event.type === "run:end") summary = event.summary;
  }
  const { outcomes, tally } = summary;
  if (ended.size !== hosts || outcomes.ok !== hosts || tally.unchanged !== hosts * tasks)
    throw new Error(
      `${hosts} hosts, of which ${ended.size} have ended well: ${JSON.stringify({ outcomes, tally })}`,
    );
  return count;
}

function show(row, single) {
  const { hosts, wallMs, cpuMs, peakMib, events, load, queue } = row;
  const cpus = [cpuMs, queue?.workersCpuMs, queue?.redisCpuMs].filter((ms) => ms !== undefined);
  say(
    `| ${[
      hosts.toLocaleString("en"),
      queue === undefined ? "one controller" : `queue, ${workers} workers`,
      (wallMs / 1_000).toFixed(1),
      (wallMs / hosts).toFixed(1),
      (wallMs / hosts / (single.wallMs / single.hosts)).toFixed(2),
      `${(cpuOf(row) / hosts).toFixed(1)}: ${cpus.map((ms) => (ms / hosts).toFixed(1)).join(", ")}`,
      (cpuOf(row) / hosts / (cpuOf(single) / single.hosts)).toFixed(2),
      [peakMib, queue?.workerPeakMib]
        .filter((mib) => mib !== undefined)
        .map((mib) => mib.toFixed(0))
        .join(", "),
      queue === undefined
        ? ""
        : `${queue.redisMib.toFixed(1)} (${((queue.redisMib * 1_024) / hosts).toFixed(1)})`,
      ((events / wallMs) * 1_000).toFixed(0),
      load.toFixed(1),
    ].join(" | ")} |`,
  );
}

/** Processor time of all processes of Volley and of Redis, without that of the recorded agents. */
function cpuOf({ cpuMs, queue }) {
  return cpuMs + (queue?.workersCpuMs ?? 0) + (queue?.redisCpuMs ?? 0);
}

function plot(rows, single) {
  const points = (value) => rows.map((row) => [row.hosts, value(row)]);
  return drawPlot("Runs by a queue, by the number of hosts", [
    {
      title: "milliseconds a host",
      lines: [
        { name: "wall time", points: points(({ hosts, wallMs }) => wallMs / hosts) },
        { name: "processor time", points: points((row) => cpuOf(row) / row.hosts) },
        {
          name: `wall time of one controller, ${single.hosts} hosts`,
          points: [[single.hosts, single.wallMs / single.hosts]],
        },
        { name: "its processor time", points: [[single.hosts, single.cpuMs / single.hosts]] },
      ],
    },
    {
      title: "peak memory, MiB",
      lines: [
        { name: "controller", points: points(({ peakMib }) => peakMib) },
        { name: "largest worker", points: points(({ queue }) => queue.workerPeakMib) },
        { name: "Redis", points: points(({ queue }) => queue.redisMib) },
      ],
    },
  ]);
}

function profileOf(what, hosts) {
  if (values.profile === undefined) return [];
  return ["--cpu-prof", `--cpu-prof-dir=${join(values.profile, `${what}-${hosts}`)}`];
}

function say(line) {
  process.stdout.write(`${line}\n`);
}
