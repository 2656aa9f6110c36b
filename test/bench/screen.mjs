// How much of a core the terminal UI takes: a simulated run over 200 hosts, 50 at a time, drawn ten times a second on
// a terminal that costs nothing itself. node test/bench/screen.mjs [--hosts 200] [--columns 80] [--rows 24]
// [--seconds 20]. Exits with 1 when a run takes more than 10 % of a core: on a machine that does something else beside
// it, the same frames take more.
import { Writable } from "node:stream";
import { parseArgs } from "node:util";
import {
  createReporter,
  hostNames,
  removeCompiled,
  START_MS,
  simulate,
} from "../reporter/fixtures/compiled.mjs";

const LIMIT_PERCENT = 10;
const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "200" },
    columns: { type: "string", default: "80" },
    rows: { type: "string", default: "24" },
    seconds: { type: "string", default: "20" },
  },
});

let bytes = 0;
let frames = 0;
const terminal = new Writable({
  decodeStrings: false,
  write(chunk, _encoding, done) {
    bytes += Buffer.byteLength(chunk);
    // Each frame begins with it (synchronized output).
    if (chunk.includes("\x1b[?2026h")) frames++;
    done();
  },
});
Object.assign(terminal, { isTTY: true, columns: Number(values.columns), rows: Number(values.rows) });

const reporter = await createReporter("ink", {
  stdout: terminal,
  env: { TERM: "xterm-256color", LANG: "C.UTF-8" },
  verbosity: 0,
  diff: true,
  onCancel() {},
});
await removeCompiled();

const events = simulate(hostNames(Number(values.hosts)), { slowness: 3 });
const startedAt = Date.now();
let measured;
for (const event of events) {
  const atMs = event.time - START_MS;
  if (atMs > 1_000 * Number(values.seconds)) break;
  const waitMs = atMs - (Date.now() - startedAt);
  if (waitMs > 4) await new Promise((resolve) => setTimeout(resolve, waitMs));
  reporter.event({ ...event, time: startedAt + atMs });
  // The measurement begins after two seconds: the first loading and compiling is no part of a frame.
  if (measured === undefined && atMs > 2_000)
    measured = { cpu: process.cpuUsage(), at: performance.now(), frames, bytes };
}
const { user, system } = process.cpuUsage(measured.cpu);
const elapsedMs = performance.now() - measured.at;
const drawn = frames - measured.frames;
const percent = (user + system) / 10 / elapsedMs;
await reporter.close();
process.stdout.write(
  [
    `${values.hosts} hosts on ${values.columns} × ${values.rows}, Node ${process.versions.node}`,
    `${((1_000 * drawn) / elapsedMs).toFixed(1)} frames a second`,
    `${percent.toFixed(1)} % of a core, ${((user + system) / 1_000 / drawn).toFixed(1)} ms and ${Math.round((bytes - measured.bytes) / drawn)} bytes a frame`,
    "",
  ].join("\n"),
);
process.exit(percent > LIMIT_PERCENT ? 1 : 0);
