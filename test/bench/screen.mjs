// How much of a core the terminal UI takes: a simulated run over 200 hosts, 50 at a time, drawn ten times a second on
// a terminal that costs nothing itself. Beside it stands ink's own share: as many rows of plain text, one text each,
// drawn as often. node test/bench/screen.mjs [--hosts 200] [--columns 80] [--rows 24] [--seconds 20]. Exits with 1
// when a run takes more than 10 % of a core: on a machine that does something else beside it, the same frames take
// more.
import { Writable } from "node:stream";
import { parseArgs } from "node:util";
import { createReporter, hostNames, removeCompiled, START_MS, simulate } from "../reporter/lib/compiled.mjs";

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
function openTerminal() {
  const terminal = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      bytes += Buffer.byteLength(chunk);
      // Each frame begins with it (synchronized output).
      if (chunk.includes("\x1b[?2026h")) frames++;
      done();
    },
  });
  return Object.assign(terminal, { isTTY: true, columns: Number(values.columns), rows: Number(values.rows) });
}

/** Begin to measure; the returned function tells what a frame took since then. */
function measure() {
  const from = { cpu: process.cpuUsage(), at: performance.now(), frames, bytes };
  return () => {
    const { user, system } = process.cpuUsage(from.cpu);
    const elapsedMs = performance.now() - from.at;
    const drawn = frames - from.frames;
    return {
      framesASecond: (1_000 * drawn) / elapsedMs,
      percent: (user + system) / 10 / elapsedMs,
      msAFrame: (user + system) / 1_000 / drawn,
      bytesAFrame: (bytes - from.bytes) / drawn,
    };
  };
}

const reporter = await createReporter("ink", {
  stdout: openTerminal(),
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
  if (atMs > 2_000) measured ??= measure();
}
const run = measured();
await reporter.close();
const alone = await drawPlainRows();
process.stdout.write(
  [
    `${values.hosts} hosts on ${values.columns} × ${values.rows}, Node ${process.versions.node}`,
    `${run.framesASecond.toFixed(1)} frames a second`,
    `${run.percent.toFixed(1)} % of a core, ${run.msAFrame.toFixed(1)} ms and ${Math.round(run.bytesAFrame)} bytes a frame`,
    `ink alone, with plain text in each row: ${alone.msAFrame.toFixed(1)} ms a frame`,
    "",
  ].join("\n"),
);
process.exit(run.percent > LIMIT_PERCENT ? 1 : 0);

async function drawPlainRows() {
  const { Box, render, Text } = await import("ink");
  const { createElement } = await import("react");
  const width = Number(values.columns) - 1;
  const screenful = (frame) =>
    createElement(
      Box,
      { flexDirection: "column" },
      Array.from({ length: Number(values.rows) }, (_, row) =>
        createElement(
          Text,
          { key: row },
          `web${row} at frame ${frame + row} `.padEnd(width, "of a run ").slice(0, width),
        ),
      ),
    );
  const options = {
    stdout: openTerminal(),
    incrementalRendering: true,
    interactive: true,
    patchConsole: false,
  };
  const instance = render(screenful(0), options);
  let told;
  for (let frame = 1; frame <= 100; frame++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    instance.rerender(screenful(frame));
    if (frame === 20) told = measure();
  }
  const result = told();
  instance.unmount();
  return result;
}
