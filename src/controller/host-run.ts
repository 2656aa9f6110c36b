import { setTimeout as pause } from "node:timers/promises";
import { isVolleyError, type SerializedError, serializeError, VolleyError } from "../core/errors.ts";
import type { ControllerEvent, HostEnd, Outcome, Phase, ReceivedEvent } from "../core/events.ts";
import type { Mask } from "../core/mask.ts";
import { type Command, encodeLine, type Job, type WireEvent } from "../core/protocol.ts";
import type { Connection, Endpoint, RemoteExit, RemoteProcess, Transport } from "../transport/transport.ts";
import { Absence } from "./absence.ts";
import type { EarlierPart } from "./earlier.ts";
import { explainFailedStart, explainLoss, outcomeOf } from "./explain-start.ts";
import { HostRecord } from "./host-record.ts";
import {
  ABSENT,
  attachCommand,
  CORRUPT,
  LAUNCH_EXITS,
  launchCommand,
  verifyAndLaunchCommand,
} from "./launch.ts";
import { FIRST_JOURNALED } from "./receive.ts";
import { makeNonce, sendBundle } from "./send-bundle.ts";
import { type FirstWord, speak } from "./speak.ts";

/** What one host's part of a run needs. */
export interface HostRunOptions {
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  readonly bundle: { readonly id: string; readonly bytes: Buffer };
  readonly job: Job;
  /** The user to become on the host. */
  readonly become: string | null;
  /** Masks secrets in what the host says beside the protocol; `emit` masks the rest. */
  readonly mask: Mask | null;
  emit(event: ReceivedEvent | ControllerEvent): void;
  /** Gives an error that came from the playbook's code its place in the source. */
  locate(error: SerializedError): SerializedError;
  /** Aborted: end at once. */
  readonly now: AbortSignal;
  /** From starting the bundle to its `hello`. */
  readonly startTimeoutMs: number;
  /** How long a host that was lost is tried again. */
  readonly returnTimeoutMs: number;
  /** False when the bundle is no longer the one the run was begun with: the host can only be asked how it went on. */
  readonly mayLaunch: boolean;
  /** What a controller before this one has seen of the host. */
  readonly earlier?: EarlierPart;
}

interface PlayEnd {
  readonly promise: Promise<boolean>;
  readonly resolve: (failed: boolean) => void;
}

const STDERR_KEPT = 4_000;
/** Lines beside the protocol that are told of one host, over all connections. */
const MAX_NOISE_LINES = 500;
const UPLOAD_TRIES = 2;
/** How long a host that has said its last word may take to end. */
const LAST_WORD_MS = 5_000;
/** The least time a host that is back gets for its first word. */
const MIN_START_MS = 2_000;

/** One host's part of a run, from connecting to its end. It never throws: what goes wrong is the outcome. */
export class HostRun {
  readonly #options: HostRunOptions;
  readonly #startedAt = performance.now();
  readonly #phases: Partial<Record<Phase, number>> = {};
  readonly #playEnds = new Map<number, PlayEnd>();
  /** Ends connecting and sending; the target is told in its own way. */
  readonly #abort = new AbortController();
  readonly #record: HostRecord;
  readonly #absence = new Absence();
  /** What the host is told again whenever it is back. */
  readonly #said = new Set<Command>();
  /** Index of the play it is at, or waits to be let into. */
  #at: number;
  /** Why its part is ended early. */
  #stopped: { readonly outcome: "cancelled" | "failed"; readonly error: SerializedError } | undefined;
  #connection: Connection | undefined;
  #process: RemoteProcess | undefined;
  #stderr = "";
  #noiseLines = 0;
  #broken: VolleyError | undefined;
  #uploadedBytes = 0;
  /** Of a bundle that was being sent when the connection went. */
  #leftNonce: string | undefined;
  #begun = false;
  #cancelled = false;
  #lastMark = performance.now();
  #waitingSince: number | undefined;
  /** True once there has been a connection. */
  #reached = false;
  /** True once the host may have got the job. */
  #known = false;
  /** Whether the process now running has said hello. */
  #greeted = false;
  #lossReason = "";
  #limitMs: number;
  #tellLastWord: () => void = () => {};
  #resolveEnd!: (end: HostEnd) => void;
  #ended = false;
  /** Resolves once the host's part is over. */
  readonly end: Promise<HostEnd>;

  constructor(options: HostRunOptions) {
    this.#options = options;
    this.#limitMs = options.returnTimeoutMs;
    this.#record = new HostRecord(options.job.plays, options.earlier);
    this.#at = options.earlier?.play ?? options.job.plays[0] ?? 0;
    this.end = new Promise((resolve) => {
      this.#resolveEnd = resolve;
    });
    options.now.addEventListener("abort", this.#onNow, { once: true });
    if (options.earlier !== undefined) this.#takeUp(options.earlier);
  }

  /** Begins where an earlier controller was ended. */
  #takeUp({ end, known, endedPlays, uploadedBytes }: EarlierPart): void {
    this.#known = known;
    this.#uploadedBytes = uploadedBytes;
    for (const [index, failed] of endedPlays) this.#playEnd(index).resolve(failed);
    if (end === undefined) return;
    this.#ended = true;
    this.#resolveEnd(end);
  }

  get host(): string {
    return this.#options.endpoint.host;
  }

  /** Whether its part is over. */
  get isOver(): boolean {
    return this.#ended;
  }

  /** Whether it has begun the play with this index and not ended. */
  isAt(index: number): boolean {
    return this.#begun && !this.#ended && this.#at === index;
  }

  /** Whether its part was over before it came to the play with this index. */
  hasEndedBefore(index: number): boolean {
    return this.#ended && this.#at < index;
  }

  /** Begins the host's first play: connects. */
  begin(): void {
    if (this.#begun || this.#ended) return;
    this.#begun = true;
    void this.#run();
  }

  /** Lets the host go on after the play with this index, which it has ended. */
  goOn(after: number): void {
    if (this.#ended) return;
    this.#addPhase("wait", performance.now() - (this.#waitingSince ?? performance.now()));
    this.#lastMark = performance.now();
    this.#at = this.#options.job.plays.find((index) => index > after) ?? this.#at;
    this.tell({ type: "continue", play: after });
  }

  /** Says something to the host, again after every time it was lost. */
  tell(command: Command): void {
    this.#said.add(command);
    this.#send(command);
  }

  /** Resolves when the host has ended the play with this index, or altogether: true when it failed, or was not reached or lost. */
  playEnd(index: number): Promise<boolean> {
    const over = this.end.then(({ outcome }) => outcome !== "ok" && outcome !== "cancelled");
    return Promise.race([this.#playEnd(index).promise, over]);
  }

  #playEnd(index: number): PlayEnd {
    let known = this.#playEnds.get(index);
    if (known === undefined) {
      let resolve!: PlayEnd["resolve"];
      const promise = new Promise<boolean>((settle) => {
        resolve = settle;
      });
      known = { promise, resolve };
      this.#playEnds.set(index, known);
    }
    return known;
  }

  /**
   * Asks the host to finish the action now running and end, as soon as it is there to be told; before it has started
   * any, connecting and sending end.
   */
  cancel(): void {
    if (this.#ended) return;
    this.#cancelled = true;
    if (!this.#begun) return this.#finish("cancelled");
    if (this.#process !== undefined) this.#send({ type: "cancel" });
    else if (!this.#known) this.#abort.abort();
  }

  /** The same, saying why: its part ends with this outcome and error, unless a task fails first. */
  stop(outcome: "cancelled" | "failed", error: SerializedError): void {
    if (this.#ended || this.#cancelled) return;
    this.#stopped = { outcome, error };
    this.cancel();
  }

  /** Ends the host's part at once, the action now running too. */
  kill(): void {
    this.#onNow();
  }

  readonly #onNow = (): void => {
    if (this.#ended) return;
    this.#cancelled = true;
    if (!this.#begun) return this.#finish("cancelled");
    if (this.#process !== undefined) this.#send({ type: "kill" });
    this.#abort.abort();
    // The host is told, or rid of what was being sent; whether it answers or not, the run ends.
    setTimeout(() => this.#finish("cancelled"), 1_000).unref();
  };

  async #run(): Promise<void> {
    for (;;) {
      try {
        const connection = await this.#connect();
        if (this.#ended) return connection.close();
        this.#connection = connection;
        this.#reached = true;
        if (this.#known || !this.#options.mayLaunch) await this.#attach(connection);
        else await this.#launch(connection);
        const exit = await this.#exit();
        if (!this.#mayGoOn(exit)) {
          this.#addPhase("collect", this.#sinceMark());
          return this.#conclude(exit);
        }
        this.#leave(exit.kind === "lost" ? exit.reason : "its process ended");
      } catch (thrown) {
        if (this.#ended) return;
        if (!this.#mayTryAgain(thrown)) return this.#fail(thrown);
        this.#leave(isVolleyError(thrown) ? thrown.message : String(thrown));
      }
    }
  }

  /** Connects; a host that was lost is tried until its time is up. */
  async #connect(): Promise<Connection> {
    const { endpoint, transport, emit } = this.#options;
    const { host, address, port, user } = endpoint;
    const absent = this.#absence.going;
    if (absent) await this.#absence.pause(this.#abort.signal);
    else emit({ type: "host:connect", host, address, port, user });
    const limit = new AbortController();
    const onAbort = (): void => limit.abort();
    this.#abort.signal.addEventListener("abort", onAbort, { once: true });
    if (this.#abort.signal.aborted) limit.abort();
    const timer = absent ? setTimeout(onAbort, this.#absence.remainingMs) : undefined;
    try {
      const connection = await transport.connect(endpoint, limit.signal);
      const { connectMs, authenticateMs } = connection.timings;
      this.#addPhase("connect", connectMs);
      this.#addPhase("authenticate", authenticateMs);
      emit({ type: "host:connected", host, elapsedMs: connectMs + authenticateMs });
      this.#lastMark = performance.now();
      return connection;
    } finally {
      clearTimeout(timer);
      this.#abort.signal.removeEventListener("abort", onAbort);
    }
  }

  async #launch(connection: Connection): Promise<void> {
    const { bundle, become, emit, endpoint } = this.#options;
    const { host } = endpoint;
    let first = await this.#start(connection, launchCommand(bundle.id, become, this.#leftNonce), true);
    this.#leftNonce = undefined;
    if (first.kind === "hello" && this.#uploadedBytes === 0) emit({ type: "host:cached", host });
    for (let tries = 1; first.kind === ABSENT || first.kind === CORRUPT; tries++) {
      // Its process has ended: from here on there is none to tell of a cancel.
      this.#process = undefined;
      this.#known = false;
      if (first.kind === CORRUPT && tries > UPLOAD_TRIES) {
        throw new VolleyError(
          "UPLOAD_FAILED",
          `${host}: the bundle arrived damaged ${UPLOAD_TRIES} times: its SHA-256 is not ${bundle.id.slice(0, 12)}…`,
          {
            hint: "something between here and the host, or its disk, changes data",
          },
        );
      }
      if (this.#cancelled)
        throw new VolleyError("CANCELLED", `${host}: cancelled before the bundle was sent`);
      const totalBytes = bundle.bytes.length;
      const nonce = makeNonce();
      this.#leftNonce = nonce;
      await sendBundle(connection, bundle, {
        nonce,
        signal: this.#abort.signal,
        onProgress: (bytes, elapsedMs) => emit({ type: "host:upload", host, bytes, totalBytes, elapsedMs }),
      });
      this.#uploadedBytes += totalBytes;
      this.#addPhase("upload", this.#sinceMark());
      first = await this.#start(connection, verifyAndLaunchCommand(bundle.id, nonce, become), true);
      if (first.kind !== "ended") this.#leftNonce = undefined;
    }
    if (first.kind === "ended") {
      // The connection went before a word came back: the host may be at work all the same.
      if (this.#mayGoOn(first.exit)) return;
      this.#known = false;
      throw this.#broken ?? this.#explain(first.exit);
    }
    emit({ type: "host:start", host });
    this.#addPhase("start", this.#sinceMark());
    this.#comeBack();
  }

  /** Asks the host for the rest of the run; one that knows nothing of it is asked to begin. */
  async #attach(connection: Connection): Promise<void> {
    const { bundle, become, job, mayLaunch } = this.#options;
    const record = this.#record;
    const { gone } = record;
    record.gone = undefined;
    if (gone?.restarted === true && mayLaunch) return this.#launch(connection);
    const from = Math.max(FIRST_JOURNALED, record.lastSequence + 1);
    const first = await this.#start(
      connection,
      attachCommand(bundle.id, become, job.session!.run, from),
      false,
    );
    if (first.kind === "ended" && !this.#mayGoOn(first.exit)) {
      const { exit } = first;
      if (this.#broken !== undefined) throw this.#broken;
      if (exit.kind !== "exited" || exit.code !== LAUNCH_EXITS.unknownRun) throw this.#explain(exit);
      if (!mayLaunch) {
        throw new VolleyError("CANCELLED", `${this.host} was not begun, and the playbook has changed since`);
      }
      return this.#launch(connection);
    }
    if (first.kind === "ended") return;
    // One that is to restart has only not gone down yet.
    if (record.restart === undefined) this.#comeBack();
    this.#sendAgain();
  }

  #explain(exit: RemoteExit): VolleyError {
    const { endpoint, become } = this.#options;
    return explainFailedStart({ endpoint, become, exit, stderr: this.#stderr });
  }

  #comeBack(): void {
    const awayMs = this.#absence.end();
    if (awayMs !== undefined) this.#options.emit({ type: "host:back", host: this.host, awayMs });
  }

  /** How the host's process ended; one that does not end after its last word is not waited for. */
  async #exit(): Promise<RemoteExit> {
    const spoken = new Promise<void>((resolve) => {
      this.#tellLastWord = resolve;
      if (this.#record.bye !== undefined || this.#record.gone !== undefined) resolve();
    });
    const late = spoken.then(async (): Promise<RemoteExit> => {
      await pause(LAST_WORD_MS, undefined, { ref: false });
      return { kind: "lost", reason: "its process did not end" };
    });
    return Promise.race([this.#process!.exit, late]);
  }

  /** Whether a process that ended without saying bye has left a run behind that goes on, or can. */
  #mayGoOn(exit: RemoteExit): boolean {
    const { bye, gone, restart } = this.#record;
    if (bye !== undefined || !this.#mayReturn()) return false;
    // As long as a host is going down, the process that carried out the run is merely gone.
    if (gone !== undefined)
      return gone.running === true || (gone.asked === true && (!gone.restarted || this.#options.mayLaunch));
    // Whatever ended it, the journal says how far it came; one that said nothing at all has said so elsewhere.
    return exit.kind === "lost" || restart !== undefined || this.#greeted;
  }

  /** Whether what went wrong may be over when the host is tried again. */
  #mayTryAgain(thrown: unknown): boolean {
    if (!isVolleyError(thrown) || !this.#reached || !this.#mayReturn()) return false;
    if (this.#cancelled && !this.#known) return false;
    switch (thrown.code) {
      case "CONNECTION_LOST":
        return true;
      case "CONNECT_FAILED":
      case "TIMEOUT":
        return this.#absence.going;
      case "AUTH_FAILED":
        // Before a host is wholly up it lets nobody in but root: pam_nologin(8).
        return this.#absence.going && this.#record.restart !== undefined;
      default:
        return false;
    }
  }

  #mayReturn(): boolean {
    const { job, now } = this.#options;
    return (
      this.#broken === undefined && job.session !== undefined && !now.aborted && this.#absence.remainingMs > 0
    );
  }

  #leave(reason: string): void {
    const { emit, returnTimeoutMs } = this.#options;
    const { restart } = this.#record;
    this.#process = undefined;
    this.#connection?.close();
    this.#connection = undefined;
    const limitMs = restart?.timeoutMs ?? returnTimeoutMs;
    if (!this.#absence.begin(limitMs)) return;
    this.#limitMs = limitMs;
    this.#lossReason = reason;
    emit({
      type: "host:lost",
      host: this.host,
      reason: restart === undefined ? reason : "the host restarts",
    });
  }

  #fail(thrown: unknown): void {
    if (this.#cancelled) return this.#finish("cancelled");
    const outcome = outcomeOf(thrown);
    if (!this.#absence.going || !["unreachable", "lost", "cancelled"].includes(outcome)) {
      return this.#finish(
        this.#known && outcome === "unreachable" ? "lost" : outcome,
        serializeError(thrown),
      );
    }
    const last = isVolleyError(thrown) && thrown.code !== "CANCELLED" ? thrown.message : undefined;
    const loss = explainLoss(this.host, { reason: this.#lossReason, limitMs: this.#limitMs, last });
    this.#finish("lost", serializeError(loss));
  }

  /** Starts a command that speaks the protocol, with the job where it is to carry it out. */
  #start(connection: Connection, command: string, withJob: boolean): Promise<FirstWord> {
    const { startTimeoutMs, mask, endpoint } = this.#options;
    const left = Math.max(MIN_START_MS, this.#absence.remainingMs);
    this.#stderr = "";
    this.#greeted = false;
    return speak(connection, {
      host: endpoint.host,
      command,
      signal: this.#abort.signal,
      after: this.#record.lastSequence,
      timeoutMs: Math.min(startTimeoutMs, left),
      mask,
      event: (event) => this.#take(event),
      noise: (text) => this.#tellNoise(text),
      stderr: (text) => this.#takeStderr(text),
      broken: (error) => {
        this.#broken = error;
      },
      started: (process) => {
        this.#process = process;
        if (!withJob) return;
        // From here on the host may be at work, whatever becomes of the connection.
        this.#known = true;
        process.stdin.write(encodeLine(this.#job()));
        this.#sendAgain();
      },
    });
  }

  /** The job; one that is begun anew goes on telling where it was interrupted. */
  #job(): Job {
    const { job } = this.#options;
    const { lastSequence } = this.#record;
    if (job.session === undefined || lastSequence < FIRST_JOURNALED) return job;
    return { ...job, session: { ...job.session, after: lastSequence } };
  }

  #takeStderr(text: string): void {
    this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    if (this.#noiseLines >= MAX_NOISE_LINES) return;
    for (const line of text.split("\n")) if (line.trim() !== "") this.#tellNoise(line.slice(0, 1_000));
  }

  #tellNoise(text: string): void {
    if (this.#noiseLines++ < MAX_NOISE_LINES)
      this.#options.emit({ type: "host:noise", host: this.host, text });
  }

  #take(event: WireEvent): void {
    const { emit, locate } = this.#options;
    const { host } = this;
    const { lastSequence, restart } = this.#record;
    this.#record.take(event);
    if (event.type !== "hello" && event.type !== "gone") this.#absence.progress();
    if (event.type === "task:end" && restart !== undefined && this.#record.restart === undefined)
      this.#comeBack();
    const { seq: hostSeq, time: _time, ...told } = event;
    switch (told.type) {
      case "hello":
        this.#greeted = true;
        // Of a process that was started before, or again: it is no event of the run.
        if (told.next !== undefined || lastSequence > hostSeq) return;
        break;
      case "gone":
        return this.#tellLastWord();
      case "play:start":
        this.#at = told.index;
        break;
      case "facts":
        this.#addPhase("facts", this.#sinceMark());
        break;
      case "task:end": {
        const { error } = told.result;
        if (error === undefined) break;
        emit({ ...told, result: { ...told.result, error: locate(error) }, host, hostSeq });
        return;
      }
      case "play:end":
        this.#addPhase("tasks", this.#sinceMark());
        this.#waitingSince = performance.now();
        emit({ ...told, host, hostSeq });
        this.#playEnd(told.index).resolve(told.failed);
        return;
      case "bye":
        this.#tellLastWord();
        break;
      default:
        break;
    }
    emit({ ...told, host, hostSeq });
  }

  /** What was said to the host already, to a process or over a connection that may not have taken it in. */
  #sendAgain(): void {
    for (const command of this.#said) this.#send(command);
    if (this.#cancelled) this.#send({ type: "cancel" });
  }

  #send(command: Command): void {
    if (this.#process?.stdin.writable === true) this.#process.stdin.write(encodeLine(command));
  }

  #conclude(exit: RemoteExit): void {
    const { bye, gone } = this.#record;
    if (this.#broken !== undefined) return this.#finish("lost", serializeError(this.#broken));
    if (bye === undefined) {
      if (this.#cancelled) return this.#finish("cancelled");
      const said = this.#stderr.trim().split("\n").at(-1) ?? "";
      const how =
        gone !== undefined
          ? gone.restarted
            ? "the host was restarted meanwhile"
            : "the process that carried it out was killed"
          : exit.kind === "lost"
            ? exit.reason
            : exit.kind === "signalled"
              ? `it was ended by signal ${exit.signal}`
              : `it exited with code ${exit.code}`;
      return this.#finish("lost", {
        code: "CONNECTION_LOST",
        message: `${this.host}: the run ended without saying how: ${how}${said === "" ? "" : `; last said: ${said}`}`,
      });
    }
    if (bye.cancelled === true) return this.#finish("cancelled");
    if (bye.error !== undefined) return this.#finish("failed", this.#options.locate(bye.error));
    this.#finish(this.#record.hasFailed ? "failed" : "ok");
  }

  #finish(ending: Outcome, reason?: SerializedError): void {
    if (this.#ended) return;
    this.#ended = true;
    const { outcome, error } = this.#ending(ending, reason);
    const { now, emit } = this.#options;
    now.removeEventListener("abort", this.#onNow);
    const end: HostEnd = {
      type: "host:end",
      host: this.host,
      outcome,
      tally: this.#record.fullTally,
      elapsedMs: performance.now() - this.#startedAt,
      phases: this.#phases,
      uploadedBytes: this.#uploadedBytes,
      ...(error === undefined ? {} : { error }),
    };
    this.#connection?.close();
    emit(end);
    this.#resolveEnd(end);
  }

  /** How its part ended, with why where it was told to end. */
  #ending(
    outcome: Outcome,
    error: SerializedError | undefined,
  ): { readonly outcome: Outcome; readonly error: SerializedError | undefined } {
    if (outcome !== "cancelled" || this.#stopped === undefined) return { outcome, error };
    // It had a fault of its own before it was told.
    const ownFault = this.#stopped.outcome === "cancelled" && this.#record.hasFailed;
    return ownFault ? { outcome: "failed", error } : this.#stopped;
  }

  #sinceMark(): number {
    const since = performance.now() - this.#lastMark;
    this.#lastMark = performance.now();
    return since;
  }

  #addPhase(phase: Phase, milliseconds: number): void {
    this.#phases[phase] = (this.#phases[phase] ?? 0) + milliseconds;
  }
}
