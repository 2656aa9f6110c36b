// How much of a core the page of `--web` takes while a simulated run over 200 hosts goes on, 50 at a time: in Chromium,
// in all of its processes, and in the process that serves it. Beside it stands the same run without a viewer.
// node test/bench/web.mjs [--hosts 200] [--seconds 20] [--slowness 3] [--wall] [--dark] [--width 1280]
// [--height 800] [--shots DIR], which writes pictures of the page during the run and after it. The first three seconds
// are not counted: they are the page's loading.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { hostNames, removeCompiled, START_MS, simulate, startWebServer } from "../reporter/lib/compiled.mjs";

const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "200" },
    seconds: { type: "string", default: "20" },
    slowness: { type: "string", default: "3" },
    wall: { type: "boolean", default: false },
    shots: { type: "string" },
    width: { type: "string", default: "1280" },
    height: { type: "string", default: "800" },
    dark: { type: "boolean", default: false },
  },
});
const TICKS_A_SECOND = 100;

/** The processor time of a process and of all below it, in milliseconds. */
function processorMs(root) {
  const parents = new Map();
  const times = new Map();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(join("/proc", name, "stat"), "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      parents.set(Number(name), Number(fields[1]));
      times.set(Number(name), ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_A_SECOND);
    } catch {
      // The process has just ended.
    }
  }
  const isBelow = (pid) => pid === root || (parents.has(pid) && isBelow(parents.get(pid)));
  return [...times].filter(([pid]) => isBelow(pid)).reduce((sum, [, ms]) => sum + ms, 0);
}

/** The browser: the compiler of the sources is a child as well. */
function browserPid() {
  const isBrowser = (name) => {
    try {
      const stat = readFileSync(join("/proc", name, "stat"), "utf8");
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      return parent === process.pid && /chrom/.test(readFileSync(join("/proc", name, "cmdline"), "utf8"));
    } catch {
      return false;
    }
  };
  return Number(readdirSync("/proc").find((name) => /^\d+$/.test(name) && isBrowser(name)));
}

const events = simulate(hostNames(Number(values.hosts)), { slowness: Number(values.slowness) });

/** Go through the run in its own time; returns what this process took, in milliseconds, and for how long. */
async function play(server, onTime) {
  const startedAt = Date.now();
  const cpu = process.cpuUsage();
  let told = 0;
  for (const event of events) {
    const atMs = event.time - START_MS;
    if (atMs > 1_000 * Number(values.seconds)) break;
    const waitMs = atMs - (Date.now() - startedAt);
    if (waitMs > 4) await new Promise((resolve) => setTimeout(resolve, waitMs));
    server.event({ ...event, time: startedAt + atMs });
    told++;
    await onTime?.(atMs);
  }
  const { user, system } = process.cpuUsage(cpu);
  return { cpuMs: (user + system) / 1_000, elapsedMs: Date.now() - startedAt, told };
}

const alone = await startWebServer({ generator: "volley" });
const without = await play(alone);
await alone.close();

const server = await startWebServer({ generator: "volley" });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu"],
});
const chromiumPid = browserPid();
const page = await browser.newPage({
  viewport: { width: Number(values.width), height: Number(values.height) },
  colorScheme: values.dark ? "dark" : "light",
});
server.event({ ...events[0], time: Date.now() });
await page.goto(server.url + (values.wall ? "?wall" : ""));

let from;
let fromAt;
const result = await play(server, async (atMs) => {
  if (atMs > 3_000 && from === undefined) {
    from = processorMs(chromiumPid);
    fromAt = Date.now();
  }
});
const spent = processorMs(chromiumPid) - from;
const percent = (100 * spent) / (Date.now() - fromAt);
if (values.shots !== undefined) await page.screenshot({ path: join(values.shots, "during.png") });
for (const event of events.slice(result.told)) server.event({ ...event, time: Date.now() });
await page.locator("html:not([data-live])").waitFor();
if (values.shots !== undefined) {
  await page.screenshot({ path: join(values.shots, "after.png") });
  await page.screenshot({ path: join(values.shots, "after-full.png"), fullPage: true });
}
await server.close();
await browser.close();
await removeCompiled();
const share = ({ cpuMs, elapsedMs }) => ((100 * cpuMs) / elapsedMs).toFixed(1);
console.log(`${result.told} events in ${(result.elapsedMs / 1_000).toFixed(1)} s`);
console.log(`Chromium: ${percent.toFixed(1)} % of a core`);
console.log(`this process: ${share(result)} %; without a viewer ${share(without)} %`);
