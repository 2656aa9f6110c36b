import { posix } from "node:path";
import { checkEvent } from "../controller/session/check-event.ts";
import { VolleyError } from "../core/errors.ts";
import type { ControllerEvent, Event, ReceivedEvent, Summary } from "../core/events.ts";
import { foldSummary } from "../core/summary.ts";
import { isRecord } from "../core/values/value.ts";
import { parseJsonLines } from "../system/output.ts";
import { PAYLOAD, STATE, STATE_DIRECTORY } from "./first-boot.ts";
import { refuseHidden } from "./fstab.ts";
import { findRunner } from "./init.ts";
import type { ImageRoot } from "./root.ts";

/** The result of a first boot, as a run of one host. */
export interface FirstBootResult {
  readonly host: string;
  /** The number of the last attempt, counted from 1. */
  readonly attempt: number;
  /** The id of the bundle that provisioned the machine; undefined unless one did. */
  readonly bundle: string | undefined;
  /** The events of the last attempt, between those with which a run begins and ends. */
  readonly events: readonly Event[];
  /** Its exit code is 0 for a machine that is provisioned, else 2. */
  readonly summary: Summary;
}

const EXIT_FAILED = 2;

/**
 * Read the result of a first boot from a root. Texts in it are the machine's own, and events that are none are left out.
 * Fails with `USAGE` for a root without a bundle, and for one whose bundle has not been started yet.
 *
 * @param name The root's name in messages.
 */
export function readResult(root: ImageRoot, name: string): FirstBootResult {
  const directory = findRunner(root) ?? STATE_DIRECTORY;
  const read = (file: string): string | undefined => root.read(posix.join(directory, file))?.trim();
  const attempts = read(STATE.attempts);
  if (attempts === undefined) {
    refuseHidden(root, name, STATE_DIRECTORY);
    const isInstalled = read(PAYLOAD.runner) !== undefined;
    throw new VolleyError(
      "USAGE",
      isInstalled
        ? `${name} has not been booted with its bundle yet`
        : `${name} has no bundle for its first boot`,
      isInstalled ? {} : { hint: "volley image install puts one there" },
    );
  }
  const bundle = read(STATE.done);
  const host = read(STATE.host) ?? name;
  const told = readEvents(read(STATE.result) ?? "", host);
  return {
    host,
    attempt: Number(attempts) || 1,
    bundle,
    ...asRun(host, told, bundle !== undefined, read(STATE.failed)),
  };
}

type Received = ReceivedEvent & { readonly time: number };

function readEvents(text: string, host: string): readonly Received[] {
  return parseJsonLines(text).flatMap((line) => {
    if (!isRecord(line) || typeof line.type !== "string" || typeof line.time !== "number") return [];
    try {
      const event = checkEvent(line as typeof line & { readonly type: string });
      return event === undefined ? [] : [{ ...event, time: line.time, host }];
    } catch {
      return [];
    }
  });
}

/** Put the events of a host between those of a run, and fold them. */
function asRun(
  host: string,
  told: readonly Received[],
  isDone: boolean,
  failed: string | undefined,
): Pick<FirstBootResult, "events" | "summary"> {
  const startedAt = told[0]?.time ?? 0;
  const endedAt = told.at(-1)?.time ?? 0;
  const fold = foldSummary();
  const events: Event[] = [];
  const add = (event: (ControllerEvent | ReceivedEvent) & { readonly time: number }): void => {
    const stamped = { ...event, seq: events.length + 1 } as Event;
    events.push(stamped);
    fold.add(stamped);
  };
  const run = { run: "first boot", playbook: "first boot", check: false };
  add({ type: "run:start", ...run, hosts: [host], plays: [], concurrency: 1, time: startedAt });
  for (const event of told) add(event);
  const bye = told.findLast((event) => event.type === "bye");
  const error = isDone ? undefined : (bye?.error ?? (bye === undefined ? endOf(failed) : undefined));
  add({
    ...{ type: "host:end", host, time: endedAt, phases: {}, uploadedBytes: 0 },
    outcome: isDone ? "ok" : failed === undefined ? "lost" : "failed",
    tally: bye?.tally ?? fold.tallyOf(host),
    elapsedMs: bye?.elapsedMs ?? endedAt - startedAt,
    ...(error === undefined ? {} : { error }),
  });
  const summary = { ...fold.summary(endedAt), exitCode: isDone ? 0 : EXIT_FAILED };
  add({ type: "run:end", summary, time: endedAt });
  return { events, summary };
}

/** Return the reason why a bundle did not come to its end. */
function endOf(failed: string | undefined): Required<Pick<VolleyError, "code" | "message">> {
  if (failed === undefined)
    return {
      code: "CONNECTION_LOST",
      message:
        "provisioning has not ended: the machine still runs, or it was turned off; its next boot begins anew",
    };
  const [code, ...lines] = failed.split("\n");
  const said = lines.join("\n").replace(/^volley: /, "");
  return { code: "BUNDLE_INVALID", message: said === "" ? `the bundle ended with exit code ${code}` : said };
}
