import { existsSync, writeFileSync } from "node:fs";
import { basename, dirname, extname } from "node:path";
import { volleyVersion } from "../bundle/runtime.ts";
import { isControlled, readEvents, readRecord, runsDirectory } from "../controller/records/records.ts";
import { VolleyError } from "../core/errors.ts";
import type { Event } from "../core/events.ts";
import { renderRunPage } from "../reporter/html/run-page.ts";
import { formatBytes } from "../reporter/rows/amounts.ts";
import { cannotWrite } from "./cannot-write.ts";
import { namedRun } from "./past-runs.ts";

const LOG_EXTENSION = ".ndjson";

/**
 * Writes the page of a run to `out`, by default `<run>.html` in the current directory, and says where; `-` is
 * standard output. Fails with `USAGE` when there is no such run, or nothing in its log.
 */
export async function writeReport(name: string, out: string | undefined): Promise<void> {
  const { run, events, goingOn } = await readRun(name);
  if (!events.some(({ type }) => type === "run:start")) {
    throw new VolleyError("USAGE", `nothing is known of run ${run}: its log is empty or gone`, {
      hint: "volley runs lists runs",
    });
  }
  const page = renderRunPage(events, { goingOn, generator: `volley ${volleyVersion()}` });
  if (out === "-") {
    process.stdout.write(page);
    return;
  }
  const file = out ?? `${run}.html`;
  try {
    // It tells of hosts and what is on them: for nobody else to read.
    writeFileSync(file, page, { mode: 0o600 });
  } catch (thrown) {
    throw cannotWrite(file, thrown, "name another file with -o");
  }
  process.stdout.write(`${file} (${formatBytes(Buffer.byteLength(page))})\n`);
}

async function readRun(name: string): Promise<{
  readonly run: string;
  readonly events: readonly Event[];
  readonly goingOn: boolean;
}> {
  if (existsSync(name) && extname(name) === LOG_EXTENSION) {
    const run = basename(name, LOG_EXTENSION);
    return { run, events: readEvents(dirname(name), run), goingOn: false };
  }
  const directory = runsDirectory();
  const run = await namedRun(name);
  const events = readEvents(directory, run);
  return { run, events, goingOn: isControlled(readRecord(directory, run)) };
}
