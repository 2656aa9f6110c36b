// Plays a simulated run in this terminal: node test/reporter/watch.mjs [--hosts 200] [--speed 1] [--kind ink]
// [--check] [--seed 1] [--slowness 1] [--verbosity 0] [--diff] [--measure]
import { parseArgs } from "node:util";
import { createReporter, hostNames, removeCompiled, START_MS, simulate, summaryOf } from "./lib/compiled.mjs";

const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "200" },
    speed: { type: "string", default: "1" },
    kind: { type: "string", default: "auto" },
    seed: { type: "string", default: "1" },
    slowness: { type: "string", default: "3" },
    concurrency: { type: "string", default: "50" },
    verbosity: { type: "string", default: "0" },
    check: { type: "boolean", default: false },
    diff: { type: "boolean", default: false },
    measure: { type: "boolean", default: false },
  },
});

let written = 0;
let clears = 0;
if (values.measure) {
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = (chunk, ...rest) => {
    written += Buffer.byteLength(chunk);
    clears += String(chunk).split("\x1b[2J").length - 1;
    return write(chunk, ...rest);
  };
}

const abort = new AbortController();
const reporter = await createReporter(values.kind, {
  stdout: process.stdout,
  stdin: process.stdin,
  env: process.env,
  verbosity: Number(values.verbosity),
  diff: values.diff,
  onCancel() {
    const how = cancels++ === 0 ? "clean" : "now";
    reporter.event({ type: "run:cancel", how, seq: 0, time: Date.now() });
    setTimeout(() => abort.abort(), how === "clean" ? 3_000 : 0);
  },
});
let cancels = 0;
await removeCompiled();

const speed = Number(values.speed);
const events = simulate(hostNames(Number(values.hosts)), {
  seed: Number(values.seed),
  slowness: Number(values.slowness),
  concurrency: Number(values.concurrency),
  check: values.check,
});
const startedAt = Date.now();
const cpuAtStart = process.cpuUsage();
const played = [];
for (const event of events) {
  const waitMs = (event.time - START_MS) / speed - (Date.now() - startedAt);
  if (waitMs > 4) await new Promise((resolve) => setTimeout(resolve, waitMs));
  if (abort.signal.aborted) break;
  // As if it happened now: the UI measures elapsed time by the clock.
  const live = { ...event, time: startedAt + (event.time - START_MS) / speed };
  played.push(live);
  reporter.event(live);
}
const { user, system } = process.cpuUsage(cpuAtStart);
const elapsedMs = Date.now() - startedAt;
await reporter.end({ ...summaryOf(played), logFile: "/tmp/volley/run.log" });
if (values.measure) {
  const cpu = ((user + system) / 10 / elapsedMs).toFixed(1);
  const rss = Math.round(process.memoryUsage().rss / 1024 / 1024);
  process.stderr.write(
    `${events.length} events in ${elapsedMs} ms: CPU ${cpu}%, ${written} bytes written, ${clears} clears, ${rss} MB\n`,
  );
}
process.exit(0);
