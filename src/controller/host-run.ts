import { setTimeout as pause } from "node:timers/promises";
import { type SerializedError, serializeError, VolleyError } from "../core/errors.ts";
import type { ControllerEvent, HostEnd, Outcome, Phase, ReceivedEvent } from "../core/events.ts";
import type { Mask } from "../core/mask.ts";
import { type Command, encodeLine, type Job, type WireEvent } from "../core/protocol.ts";
import { countState, EMPTY_TALLY, type Tally } from "../core/result.ts";
import type { Connection, Endpoint, RemoteExit, RemoteProcess, Transport } from "../transport/transport.ts";
import type { EarlierPart } from "./earlier.ts";
import { explainFailedStart, outcomeOf } from "./explain-start.ts";
import {
  ABSENT,
  attachCommand,
  CORRUPT,
  LAUNCH_EXITS,
  launchCommand,
  verifyAndLaunchCommand,
} from "./launch.ts";
import { onMaskedText } from "./masked-text.ts";
import { type ReceiveHandlers, receive } from "./receive.ts";
import { sendBundle } from "./send-bundle.ts";

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

const STDERR_KEPT = 4_000;
const UPLOAD_TRIES = 2;
/** The first event is the `hello` of whoever speaks. */
const FIRST_JOURNALED = 2;
const RETURN_MIN_MS = 200;
const RETURN_MAX_MS = 3_000;
const RESTART_PAUSE_MS = 500;

type Started =
  | { readonly kind: "hello" }
  | { readonly kind: typeof ABSENT | typeof CORRUPT }
  | { readonly kind: "ended"; readonly exit: RemoteExit };

/** One host's part of a run, from connecting to its end. It never throws: what goes wrong is the outcome. */
export class HostRun {
  readonly #options: HostRunOptions;
  readonly #startedAt = performance.now();
  readonly #phases: Partial<Record<Phase, number>> = {};
  readonly #playEnds = new Map<number, { readonly promise: Promise<void>; readonly resolve: () => void }>();
  /** Ends connecting and sending; the target is told in its own way. */
  readonly #abort = new AbortController();
  #connection: Connection | undefined;
  #process: RemoteProcess | undefined;
  #stderr = "";
  #tally: Tally = EMPTY_TALLY;
  #bye: Extract<WireEvent, { type: "bye" }> | undefined;
  #broken: VolleyError | undefined;
  #total = 0;
  #uploadedBytes = 0;
  #begun = false;
  #cancelled = false;
  #hasFailed = false;
  #lastMark = performance.now();
  #waitingSince: number | undefined;
  /** True once the host may have got the job. */
  #known = false;
  #lastSequence = 0;
  #lostAt: number | undefined;
  #returnBy = 0;
  #gone: Extract<WireEvent, { type: "gone" }> | undefined;
  #restart: Extract<WireEvent, { type: "restart" }> | undefined;
  readonly #continued = new Set<number>();
  #resolveEnd!: (end: HostEnd) => void;
  #ended = false;
  /** Resolves once the host's part is over. */
  readonly end: Promise<HostEnd>;

  constructor(options: HostRunOptions) {
    this.#options = options;
    this.end = new Promise((resolve) => {
      this.#resolveEnd = resolve;
    });
    options.now.addEventListener("abort", this.#onNow, { once: true });
    if (options.earlier !== undefined) this.#takeUp(options.earlier);
  }

  /** Begins where an earlier controller was ended. */
  #takeUp({ end, known, lastSequence, tally, total, failed, endedPlays, uploadedBytes }: EarlierPart): void {
    this.#known = known;
    this.#lastSequence = lastSequence;
    this.#tally = tally;
    this.#total = total;
    this.#hasFailed = failed;
    this.#uploadedBytes = uploadedBytes;
    for (const index of endedPlays) this.#playEnd(index).resolve();
    if (end === undefined) return;
    this.#ended = true;
    this.#resolveEnd(end);
  }

  get host(): string {
    return this.#options.endpoint.host;
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
    this.#continued.add(after);
    this.#send({ type: "continue", play: after });
  }

  /** Resolves when the host has ended the play with this index, or altogether. */
  async playEnd(index: number): Promise<void> {
    await Promise.race([this.#playEnd(index).promise, this.end]);
  }

  #playEnd(index: number): { readonly promise: Promise<void>; readonly resolve: () => void } {
    let known = this.#playEnds.get(index);
    if (known === undefined) {
      let resolve!: () => void;
      const promise = new Promise<void>((settle) => {
        resolve = settle;
      });
      known = { promise, resolve };
      this.#playEnds.set(index, known);
    }
    return known;
  }

  /** Asks the host to finish the action now running and end; before it has started any, connecting and sending end. */
  cancel(): void {
    if (this.#ended) return;
    this.#cancelled = true;
    if (!this.#begun) return this.#finish("cancelled");
    if (this.#process === undefined) this.#abort.abort();
    else this.#send({ type: "cancel" });
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
    try {
      for (;;) {
        try {
          const connection = await this.#connect();
          if (this.#ended) return connection.close();
          this.#connection = connection;
          if (this.#known || !this.#options.mayLaunch) await this.#attach(connection);
          else await this.#launch(connection);
          const exit = await this.#process!.exit;
          if (!this.#mayGoOn(exit)) {
            this.#addPhase("collect", this.#sinceMark());
            return this.#conclude(exit);
          }
          this.#leave(exit);
        } catch (thrown) {
          if (!this.#mayBeRestarting(thrown)) throw thrown;
          this.#leave({ kind: "lost", reason: (thrown as Error).message });
        }
        // It is going down, or coming up.
        if (this.#restart !== undefined && this.#gone?.restarted !== true)
          await pause(RESTART_PAUSE_MS, undefined, { signal: this.#abort.signal });
      }
    } catch (thrown) {
      if (this.#cancelled) this.#finish("cancelled");
      else {
        const outcome = outcomeOf(thrown);
        this.#finish(this.#known && outcome === "unreachable" ? "lost" : outcome, serializeError(thrown));
      }
    }
  }

  /** Connects; a host that was lost is tried again and again until its time is up. */
  async #connect(): Promise<Connection> {
    const { endpoint, transport, emit } = this.#options;
    const { host, address, port, user } = endpoint;
    emit({ type: "host:connect", host, address, port, user });
    for (let tries = 0; ; tries++) {
      try {
        const connection = await transport.connect(endpoint, this.#abort.signal);
        const { connectMs, authenticateMs } = connection.timings;
        this.#addPhase("connect", connectMs);
        this.#addPhase("authenticate", authenticateMs);
        emit({ type: "host:connected", host, elapsedMs: connectMs + authenticateMs });
        return connection;
      } catch (thrown) {
        const { code } = thrown as Partial<VolleyError>;
        if (this.#lostAt === undefined || code !== "CONNECT_FAILED" || performance.now() > this.#returnBy)
          throw thrown;
        // Not all hosts of a rack at the same moment.
        const wait = Math.min(RETURN_MAX_MS, RETURN_MIN_MS * 2 ** tries) * (0.5 + Math.random());
        await pause(wait, undefined, { signal: this.#abort.signal });
      }
    }
  }

  async #launch(connection: Connection): Promise<void> {
    const { bundle, become, emit, endpoint, job } = this.#options;
    const { host } = endpoint;
    this.#lastMark = performance.now();
    let started = await this.#start(connection, launchCommand(bundle.id, become), job);
    if (started.kind === "hello") emit({ type: "host:cached", host });
    for (let tries = 1; started.kind === ABSENT || started.kind === CORRUPT; tries++) {
      // Its process has ended: from here on there is none to tell of a cancel.
      this.#process = undefined;
      this.#known = false;
      if (started.kind === CORRUPT && tries > UPLOAD_TRIES) {
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
      const nonce = await sendBundle(connection, bundle, {
        signal: this.#abort.signal,
        onProgress: (bytes, elapsedMs) => emit({ type: "host:upload", host, bytes, totalBytes, elapsedMs }),
      });
      this.#uploadedBytes += totalBytes;
      this.#addPhase("upload", this.#sinceMark());
      started = await this.#start(connection, verifyAndLaunchCommand(bundle.id, nonce, become), job);
    }
    if (started.kind === "ended") {
      // The connection went before a word came back: the host may be at work all the same.
      if (this.#mayGoOn(started.exit)) return;
      this.#known = false;
      throw (
        this.#broken ?? explainFailedStart({ endpoint, become, exit: started.exit, stderr: this.#stderr })
      );
    }
    emit({ type: "host:start", host });
    this.#addPhase("start", this.#sinceMark());
    this.#cameBack();
  }

  /** Asks the host for the rest of the run; one that knows nothing of it is asked to begin. */
  async #attach(connection: Connection): Promise<void> {
    const { bundle, become, job } = this.#options;
    const gone = this.#gone;
    this.#gone = undefined;
    if (gone?.restarted === true && this.#options.mayLaunch) return this.#launch(connection);
    const from = Math.max(FIRST_JOURNALED, this.#lastSequence + 1);
    const started = await this.#start(connection, attachCommand(bundle.id, become, job.session!.run, from));
    if (started.kind === "ended" && !this.#mayGoOn(started.exit)) {
      const { exit } = started;
      if (exit.kind !== "exited" || exit.code !== LAUNCH_EXITS.unknownRun) {
        throw explainFailedStart({ endpoint: this.#options.endpoint, become, exit, stderr: this.#stderr });
      }
      if (!this.#options.mayLaunch) {
        throw new VolleyError("CANCELLED", `${this.host} was not begun, and the playbook has changed since`);
      }
      return this.#launch(connection);
    }
    // One that restarts has only not gone down yet.
    if (this.#restart === undefined) this.#cameBack();
    for (const play of this.#continued) this.#send({ type: "continue", play });
    if (this.#cancelled) this.#send({ type: "cancel" });
  }

  /** Whether a process that ended without saying bye has left a run behind that goes on, or can. */
  #mayGoOn(exit: RemoteExit): boolean {
    const { job, now } = this.#options;
    if (this.#bye !== undefined || this.#broken !== undefined || job.session === undefined || now.aborted)
      return false;
    if (this.#gone !== undefined) {
      const { running, asked, restarted } = this.#gone;
      const inTime = this.#lostAt === undefined || performance.now() < this.#returnBy;
      return running === true || (asked === true && (restarted ? this.#options.mayLaunch : inTime));
    }
    return exit.kind === "lost" || this.#restart !== undefined;
  }

  /** Whether a failure is what a host that restarts may well do: it refuses users before it is up, for one. */
  #mayBeRestarting(thrown: unknown): boolean {
    const { code = "INTERNAL" } = thrown as Partial<VolleyError>;
    const wrong = ["HOST_KEY_UNKNOWN", "HOST_KEY_CHANGED", "CANCELLED", "INTERNAL"].includes(code);
    const over = this.#cancelled || this.#ended || this.#broken !== undefined;
    return this.#restart !== undefined && !wrong && !over && performance.now() < this.#returnBy;
  }

  #cameBack(): void {
    if (this.#lostAt === undefined) return;
    const awayMs = performance.now() - this.#lostAt;
    this.#lostAt = undefined;
    this.#options.emit({ type: "host:back", host: this.host, awayMs });
  }

  #leave(exit: RemoteExit): void {
    const { emit, returnTimeoutMs } = this.#options;
    this.#process = undefined;
    this.#connection?.close();
    this.#connection = undefined;
    if (this.#lostAt !== undefined) return;
    this.#lostAt = performance.now();
    this.#returnBy = this.#lostAt + (this.#restart?.timeoutMs ?? returnTimeoutMs);
    const reason =
      this.#restart !== undefined
        ? "the host restarts"
        : exit.kind === "lost"
          ? exit.reason
          : "its process ended";
    emit({ type: "host:lost", host: this.host, reason });
  }

  /** Starts a command that speaks the protocol; resolves with the first thing it says, or how it ended. */
  async #start(connection: Connection, command: string, job?: Job): Promise<Started> {
    const { startTimeoutMs, endpoint } = this.#options;
    const process = await connection.exec(command, this.#abort.signal);
    this.#process = process;
    this.#stderr = "";
    onMaskedText(process.stderr, this.#options.mask, (text) => this.#takeStderr(text));
    const started = new Promise<Started>((resolve) => {
      const handlers: ReceiveHandlers = {
        event: (event) => {
          if (event.type === "hello") resolve({ kind: "hello" });
          this.#take(event);
        },
        noise: (text) => this.#options.emit({ type: "host:noise", host: this.host, text }),
        answer: (kind) => resolve({ kind }),
        broken: (error) => {
          this.#broken = error;
          connection.close();
        },
      };
      receive(process.stdout, handlers, this.#lastSequence);
      void process.exit.then((exit) => resolve({ kind: "ended", exit }));
    });
    if (job !== undefined) {
      // From here on the host may be at work, whatever becomes of the connection.
      this.#known = true;
      process.stdin.write(encodeLine(job));
      if (this.#cancelled) this.#send({ type: "cancel" });
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(
          new VolleyError(
            "TIMEOUT",
            `${endpoint.host}: the bundle did not start within ${startTimeoutMs / 1000} s`,
          ),
        );
      }, startTimeoutMs);
    });
    try {
      const result = await Promise.race([started, late]);
      // The script that only answered must be gone before the next one is started in its place.
      if (result.kind === ABSENT || result.kind === CORRUPT) await process.exit;
      return result;
    } finally {
      clearTimeout(timer);
    }
  }

  #takeStderr(text: string): void {
    this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    for (const line of text.split("\n"))
      if (line.trim() !== "")
        this.#options.emit({ type: "host:noise", host: this.host, text: line.slice(0, 1_000) });
  }

  #take(event: WireEvent): void {
    const { emit, locate } = this.#options;
    if (event.type !== "hello" && event.type !== "gone")
      this.#lastSequence = Math.max(this.#lastSequence, event.seq);
    const { seq: _seq, time: _time, ...told } = event;
    switch (told.type) {
      case "hello":
        // Of a process that was started before: it is no event of the run.
        if (told.next !== undefined) return;
        break;
      case "gone":
        this.#gone = event as Extract<WireEvent, { type: "gone" }>;
        return;
      case "restart":
        this.#restart = event as Extract<WireEvent, { type: "restart" }>;
        if (this.#lostAt !== undefined) this.#returnBy = this.#lostAt + this.#restart.timeoutMs;
        break;
      case "facts":
        this.#addPhase("facts", this.#sinceMark());
        break;
      case "play:start":
      case "play:plan":
        this.#total = told.total;
        break;
      case "task:end": {
        if (this.#restart?.task === told.task) {
          this.#restart = undefined;
          this.#cameBack();
        }
        this.#tally = countState(this.#tally, told.result.state);
        const { error, state, ignored } = told.result;
        if (state === "failed" && ignored !== true) this.#hasFailed = true;
        if (error === undefined) break;
        emit({
          ...told,
          result: { ...told.result, error: locate(error) },
          host: this.host,
          hostSeq: event.seq,
        });
        return;
      }
      case "play:end":
        this.#addPhase("tasks", this.#sinceMark());
        this.#waitingSince = performance.now();
        emit({ ...told, host: this.host, hostSeq: event.seq });
        this.#playEnd(told.index).resolve();
        return;
      case "bye":
        this.#bye = event as Extract<WireEvent, { type: "bye" }>;
        this.#tally = told.tally;
        break;
      default:
        break;
    }
    emit({ ...told, host: this.host, hostSeq: event.seq });
  }

  #send(command: Command): void {
    if (this.#process?.stdin.writable === true) this.#process.stdin.write(encodeLine(command));
  }

  #conclude(exit: RemoteExit): void {
    const bye = this.#bye;
    if (this.#broken !== undefined) return this.#finish("lost", serializeError(this.#broken));
    if (bye === undefined) {
      if (this.#cancelled) return this.#finish("cancelled");
      const said = this.#stderr.trim().split("\n").at(-1) ?? "";
      const how =
        this.#gone !== undefined
          ? this.#gone.restarted
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
    this.#finish(this.#hasFailed ? "failed" : "ok");
  }

  #finish(outcome: Outcome, error?: SerializedError): void {
    if (this.#ended) return;
    this.#ended = true;
    const { now, emit } = this.#options;
    now.removeEventListener("abort", this.#onNow);
    const executed = this.#tally.unchanged + this.#tally.changed + this.#tally.skipped + this.#tally.failed;
    // Without a bye nobody has counted what was left.
    const tally =
      this.#bye === undefined
        ? { ...this.#tally, notExecuted: Math.max(0, this.#total - executed) }
        : this.#tally;
    const end: HostEnd = {
      type: "host:end",
      host: this.host,
      outcome,
      tally,
      elapsedMs: performance.now() - this.#startedAt,
      phases: this.#phases,
      uploadedBytes: this.#uploadedBytes,
      ...(error === undefined ? {} : { error }),
    };
    this.#connection?.close();
    emit(end);
    this.#resolveEnd(end);
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
