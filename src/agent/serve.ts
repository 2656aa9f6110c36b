import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { format } from "node:util";
import { ENDS_WITH_LOGIN } from "../core/bundle.ts";
import type { TargetEvent } from "../core/events.ts";
import { type Job, type JobSession, PROTOCOL_VERSION } from "../core/protocol.ts";
import { byeForError } from "../engine/engine.ts";
import { maskOfJob } from "../engine/results.ts";
import { bootId, isAlive } from "../system/this-process.ts";
import type { Mask, MaskStream } from "../vars/mask.ts";
import type { CarryOut, CarryOutOptions } from "./carry-out.ts";
import { findRunStore, lookAtRuns, pruneRuns, type RunPart } from "./journal.ts";
import { type HostLock, lendingTurns, takeLock } from "./lock.ts";
import type { BundleReader } from "./parts.ts";
import { openLeftovers, openState, readEarlier, type StateStore } from "./state-store.ts";
import { openWire, type Wire } from "./wire.ts";

/** The bundle that a controller has started on a host. */
interface ServeOptions {
  readonly bundle: BundleReader;
  /** The bundle's SHA-256. */
  readonly id: string;
  /** The playbook's name, which handlers left over are kept under. */
  readonly playbook: string;
  /** Called while the controller prepares the job. */
  readonly prepare: () => void;
  readonly carryOut: CarryOut;
}

/** Carry out the Job on standard input, and tell of it on standard output. Returns the exit code. */
export async function serve({ bundle, id, playbook, prepare, carryOut }: ServeOptions): Promise<number> {
  const wire = openWire(process.stdin, process.stdout);
  // sshd hangs up on what it started when the connection goes.
  process.on("SIGHUP", () => {});
  const prints = sendConsoleTo(wire.emit);
  wire.emit({
    type: "hello",
    protocol: PROTOCOL_VERSION,
    bundle: id,
    pid: process.pid,
    node: process.version,
    ...(process.env[ENDS_WITH_LOGIN] === undefined ? {} : { ends: true }),
  });
  // Processes of tasks must not inherit it.
  delete process.env[ENDS_WITH_LOGIN];
  let code = 0;
  let lock: HostLock | undefined;
  let kept: SessionParts = {};
  let wentWell = false;
  let startedAt = performance.now();
  try {
    const waiting = wire.readJob();
    prepare();
    const runs = lookAtRuns();
    const job = await waiting;
    // A controller may start the agent some time before it has a job.
    startedAt = performance.now();
    prints.maskWith(maskOfJob(job));
    const { session, options } = job;
    if (session !== undefined) {
      const part = { run: session.run, host: job.host };
      // Check mode takes no lock.
      if (!options.check) lock = await lockHost(part, session, wire);
      if ((options.check ? isCarriedOut(part) : lock === undefined) || hasEnded(part)) {
        // Started twice, because the first start seemed lost: the controller is to ask for what the other has to tell.
        wire.emit({ type: "gone", restarted: false, running: true });
        await lock?.release();
        await wire.flush();
        return 0;
      }
      const { project } = session;
      kept = {
        ...openJournal(id, part, job, wire),
        ...(options.check || project === undefined
          ? {}
          : { leftovers: openLeftovers({ project, playbook, host: job.host }) }),
      };
      // Only now: the run to resume may be the oldest.
      pruneRuns(runs, session.run);
    }
    const { tally, cancelled, failed, error } = await carryOut({
      job,
      ...wire,
      ...kept,
      ...lendingTurns(wire, lock),
    });
    prints.end();
    wire.emit({
      type: "bye",
      tally,
      elapsedMs: Math.round(performance.now() - startedAt),
      ...processorTime(),
      ...(cancelled ? { cancelled } : {}),
      ...(error === undefined ? {} : { error }),
    });
    code = tally.failed > 0 || error !== undefined ? 2 : 0;
    wentWell = !cancelled && !failed && error === undefined;
  } catch (thrown) {
    prints.end();
    const bye = byeForError(thrown, performance.now() - startedAt);
    wire.emit(wire.cancel.aborted ? { ...bye, cancelled: true } : bye);
    code = 2;
  }
  await lock?.release();
  if (wentWell) {
    kept.resumed?.forget();
    // A shared result stays until the controller has it: one that comes back asks for it.
    if (await wire.taken()) kept.state?.forget();
  }
  await wire.flush();
  bundle.keepCompiled();
  return code;
}

type SessionParts = Pick<CarryOutOptions, "earlier" | "survivesRestart" | "leftovers"> & {
  readonly state?: StateStore;
  /** The state of the run that is resumed. */
  readonly resumed?: StateStore;
};

/** Take the machine's lock; undefined when another process carries out this very part. */
function lockHost(
  part: RunPart,
  { controller, lockWaitMs }: JobSession,
  wire: Wire,
): Promise<HostLock | undefined> {
  return takeLock({
    ...part,
    controller,
    waitMs: lockWaitMs,
    // As long as there is no journal, who has gone begins anew when he comes back.
    isOver: () => wire.cancel.aborted || !wire.isHeard(),
    onWait: (text) => wire.emit({ type: "log", level: "warn", text }),
  });
}

function isCarriedOut(part: RunPart): boolean {
  const { header } = findRunStore(part);
  return header !== undefined && isAlive(header);
}

/** True once this part of the run has ended. */
function hasEnded(part: RunPart): boolean {
  return findRunStore(part).lines().at(-1)?.event.type === "bye";
}

/** Open the run's journal, going on with what it holds when the host was restarted, or with that of the run to resume. */
function openJournal(id: string, part: RunPart, { session, options }: Job, wire: Wire): SessionParts {
  const { resume, after } = session!;
  const store = findRunStore(part);
  const sameRun = store.header !== undefined;
  const from = sameRun || resume === undefined ? store : findRunStore({ run: resume, host: part.host });
  const { header } = from;
  // Another bundle may mean something else by the same names.
  const usable = header?.bundle === id;
  const state = openState(store.directory);
  const earlier = from === store ? state : openState(from.directory);
  const records = usable ? earlier.read() : [];
  wire.keep(store, { bundle: id, check: options.check, state, after });
  if (resume !== undefined && !sameRun && !usable) {
    const why = header === undefined ? "this host has no journal of it" : "the bundle has changed since";
    wire.emit({
      type: "log",
      level: "warn",
      text: `run ${resume} cannot be resumed, everything is looked at again: ${why}`,
    });
  }
  return {
    survivesRestart: true,
    state,
    ...(usable ? { earlier: readEarlier(records, { sameRun, restarted: header.boot !== bootId() }) } : {}),
    ...(usable && !sameRun ? { resumed: earlier } : {}),
  };
}

/** The output of roles' own code, redirected from the protocol's stream. */
interface RolePrints {
  /** From here on what is written in pieces is masked as one text. */
  maskWith(mask: Mask | null): void;
  /** Tell of what was held back. */
  end(): void;
}

/** Turn the output of roles' own code into log events, because standard output is the protocol's. */
function sendConsoleTo(emit: (event: TargetEvent) => void): RolePrints {
  const print =
    (level: "info" | "warn") =>
    (...values: unknown[]): void =>
      emit({ type: "log", level, text: format(...values) });
  Object.assign(console, {
    log: print("info"),
    info: print("info"),
    debug: print("info"),
    warn: print("warn"),
    error: print("warn"),
  });
  let masking: MaskStream | undefined;
  const tell = (text: string): void => {
    if (text !== "") print("info")(text.replace(/\n$/, ""));
  };
  const write = (chunk: string | Uint8Array, ...rest: readonly unknown[]): boolean => {
    const text = Buffer.from(chunk as Uint8Array).toString("utf8");
    tell(masking === undefined ? text : masking.push(text));
    const done = rest.at(-1);
    if (typeof done === "function") queueMicrotask(done as () => void);
    return true;
  };
  process.stdout.write = write as typeof process.stdout.write;
  return {
    maskWith: (mask) => {
      masking = mask?.stream();
    },
    end: () => tell(masking?.end() ?? ""),
  };
}

/**
 * Processor time of this process and of those of its children that have ended, in milliseconds: utime, stime, cutime and
 * cstime of proc(5), in hundredths of a second on every Linux that Node runs on. Without /proc there is nothing to read.
 */
function processorTime(): { readonly cpuMs?: number } {
  try {
    // The name before them, in brackets, may hold anything.
    const fields = readFileSync("/proc/self/stat", "latin1").split(") ").pop()!.split(" ");
    return { cpuMs: [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]) * 10, 0) };
  } catch {
    return {};
  }
}
