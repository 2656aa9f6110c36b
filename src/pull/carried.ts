import { type ChildProcess, spawn } from "node:child_process";
import { createTextPrinter } from "../agent/local/print.ts";
import type { TargetEvent } from "../core/events.ts";
import { isRecord } from "../core/values/value.ts";
import { readLines } from "../system/output.ts";

// A carried bundle, carried out on this machine by its own command line.

/** The longest line of a bundle's output that is read, in characters: the protocol's. */
const MAX_LINE = 4 * 1024 * 1024;

/** Exit code of a run that a signal ended. */
const ENDED_EXIT = 2;

/** The end of a bundle that was carried out. */
export interface CarriedEnd {
  readonly exitCode: number;
  /** The last event; undefined for a bundle that ended before its run began. */
  readonly bye: Extract<TargetEvent, { type: "bye" }> | undefined;
  /** The first task that failed, with its error. */
  readonly failure: string | undefined;
}

/**
 * Start a bundle and follow its events. `shows` prints them for a person. A line that is no event goes to standard error.
 */
export async function followBundle(
  file: string,
  args: readonly string[],
  { host, shows }: { readonly host: string; readonly shows: boolean },
): Promise<CarriedEnd> {
  const child = spawn("sh", [file, ...args, "--output", "json"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: bundleEnvironment(),
  });
  const color = process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "";
  const print = createTextPrinter({ host, verbose: false, debug: false, color });
  let bye: CarriedEnd["bye"];
  let failure: string | undefined;
  // A line that is too long destroys the stream.
  child.stdout.on("error", () => child.kill("SIGTERM"));
  readLines(
    child.stdout,
    (line) => {
      const event = eventOf(line);
      if (event === undefined) {
        process.stderr.write(`${line}\n`);
        return;
      }
      if (event.type === "bye") bye = event;
      else if (shows) print(event);
      if (event.type === "task:end" && event.result.state === "failed" && event.result.ignored !== true)
        failure ??= `${event.role} ${event.name}: ${event.result.error?.message ?? "failed"}`.trim();
    },
    MAX_LINE,
  );
  const exitCode = await endOf(child);
  return { exitCode, bye, failure };
}

function eventOf(line: string): TargetEvent | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) && typeof value.type === "string" ? (value as unknown as TargetEvent) : undefined;
  } catch {
    return undefined;
  }
}

/** A bundle starts with the Node that runs this program: there may be no other on its PATH. */
function bundleEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, VOLLEY_NODE: process.env.VOLLEY_NODE || process.execPath };
}

async function endOf(child: ChildProcess): Promise<number> {
  const pass = (): void => void child.kill("SIGTERM");
  const wait = (): void => {};
  process.on("SIGTERM", pass);
  for (const signal of ["SIGINT", "SIGHUP"]) process.on(signal, wait);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => {
        if (code === null) process.stderr.write(`volley: the bundle was ended by ${signal}\n`);
        resolve(code ?? ENDED_EXIT);
      });
    });
  } finally {
    process.off("SIGTERM", pass);
    for (const signal of ["SIGINT", "SIGHUP"]) process.off(signal, wait);
  }
}
