// Measures the controller's CPU time and memory for many hosts that already have the bundle and have nothing to do.
// node test/bench/fan-out.mjs [--hosts 200] [--forks 50] [--profile DIR]; needs a built dist.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { startEmbeddedHosts } from "./lib/embedded-fleet.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const controller = join(root, "dist", "controller.js");

const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "200" },
    forks: { type: "string", default: "50" },
    profile: { type: "string" },
    measure: { type: "string" },
  },
});

if (values.measure === undefined) await compare();
else await measure(values.measure);

/** Starts the fleet and, in processes of their own, a run that sends the bundle and two that find it there. */
async function compare() {
  if (!existsSync(controller)) throw new Error("there is no dist: npm run build");
  const directory = mkdtempSync(join(tmpdir(), "volley-fan-out-"));
  const fleet = await startEmbeddedHosts({ args: ["--count", values.hosts] });
  try {
    prepare(directory, fleet.description);
    for (const title of ["first run", "second run", "third run"]) {
      const profile =
        title === "third run" && values.profile !== undefined
          ? ["--cpu-prof", `--cpu-prof-dir=${values.profile}`]
          : [];
      const result = await measureApart(directory, profile);
      process.stdout.write(`${title.padEnd(10)}  ${describe(result)}\n`);
    }
  } finally {
    await fleet.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function prepare(directory, { inventoryYaml, knownHostsPath }) {
  writeFileSync(join(directory, "package.json"), "{}\n");
  writeFileSync(join(directory, "inventory.yaml"), inventoryYaml);
  writeFileSync(join(directory, "known-hosts-path"), knownHostsPath);
  writeFileSync(
    join(directory, "site.ts"),
    `import { copy, definePlaybook } from "volley";
export default definePlaybook([
  { hosts: "all", tasks: ({ task, facts }) => void task("Write", copy({ content: "a\\n", dest: \`\${facts.env.HOME}/a\` })) },
]);
`,
  );
  mkdirSync(join(directory, "cache"));
}

async function measureApart(directory, nodeOptions) {
  const child = spawn(
    process.execPath,
    [...nodeOptions, fileURLToPath(import.meta.url), "--measure", directory, "--forks", values.forks],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        XDG_CACHE_HOME: join(directory, "cache"),
        XDG_STATE_HOME: join(directory, "state"),
      },
    },
  );
  const [line] = await once(createInterface(child.stdout), "line");
  return JSON.parse(line);
}

function describe({ hosts, ok, changed, uploaded, wallMs, cpuMs, idleCpuMs, peakMib, events }) {
  return [
    `${ok}/${hosts} ok, ${changed} changed, ${(uploaded / 2 ** 20).toFixed(1)} MiB sent, ${events} events`,
    `${(wallMs / 1000).toFixed(2)} s`,
    `controller CPU ${cpuMs.toFixed(0)} ms (${(cpuMs / hosts).toFixed(2)} ms a host; start-up took ${idleCpuMs.toFixed(0)} ms more)`,
    `peak RSS ${peakMib.toFixed(0)} MiB`,
  ].join("; ");
}

/** Do one run in this process, and print its cost as a line of JSON. */
async function measure(directory) {
  const { readFileSync } = await import("node:fs");
  const { run } = await import(pathToFileURL(controller).href);
  const before = process.cpuUsage();
  const startedAt = performance.now();
  const running = run({
    inventory: join(directory, "inventory.yaml"),
    playbook: join(directory, "site.ts"),
    knownHostsFiles: [readFileSync(join(directory, "known-hosts-path"), "utf8")],
    concurrency: Number(values.forks),
    cwd: directory,
  });
  let events = 0;
  for await (const _event of running) events++;
  const summary = await running.summary;
  const { user, system } = process.cpuUsage(before);
  process.stdout.write(
    `${JSON.stringify({
      hosts: summary.hosts.length,
      ok: summary.outcomes.ok,
      changed: summary.tally.changed,
      uploaded: summary.hosts.reduce((sum, { uploadedBytes }) => sum + uploadedBytes, 0),
      wallMs: performance.now() - startedAt,
      cpuMs: (user + system) / 1000,
      idleCpuMs: (before.user + before.system) / 1000,
      peakMib: process.resourceUsage().maxRSS / 1024,
      events,
    })}\n`,
  );
}
