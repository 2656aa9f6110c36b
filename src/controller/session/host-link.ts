import { encodeVars } from "../../agent/job-vars.ts";
import { keepsOwnCopy, needsTerminal } from "../../core/become.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import { type Command, encodeLine, type WireEvent } from "../../core/protocol.ts";
import { BECOME_TERMINAL, type BecomeTalk, makeBecomeNonce } from "../../transport/become/talk.ts";
import type { Connection, RemoteExit, RemoteProcess } from "../../transport/transport.ts";
import type { Place } from "../schedule/places.ts";
import { Absence, within } from "./absence.ts";
import { ENDS, explainDamage, explainFailedStart, RESTARTS } from "./explain-start.ts";
import { HostNoise } from "./host-noise.ts";
import type { HostLinkContext } from "./host-record.ts";
import type { HostRunOptions } from "./host-run.ts";
import {
  ABSENT,
  attachCommand,
  CORRUPT,
  isLaunchTalked,
  LAUNCH_EXITS,
  type LaunchAs,
  launchCommand,
  verifyAndLaunchCommand,
} from "./launch.ts";
import { answerBecome } from "./link-become.ts";
import { explainDirectEnd, lacksNode, openDirectly, WITHOUT_NODE } from "./link-direct.ts";
import { type CutLine, mayGoOn, mayTryAgain } from "./may-return.ts";
import { FIRST_JOURNALED, jobAfter } from "./receive.ts";

import { makeNonce, sendBundle, tellUpload } from "./send-bundle.ts";
import { exitAfter, type FirstWord, speak, wholeExit } from "./speak.ts";

const UPLOAD_TRIES = 2;
/** The least time a host that is back gets for its first word. */
const MIN_START_MS = 2_000;

/** The line to the process that carries out a host's part of a run: it starts the process, and finds it again. */
export class HostLink {
  readonly #options: HostRunOptions;
  readonly #context: HostLinkContext;
  /** Ends connecting and sending; the target is told in its own way. */
  readonly #abort = new AbortController();
  readonly #absence = new Absence();
  readonly #noise: HostNoise;
  /** What the host is told again after every time it was lost. */
  readonly #said = new Set<Command>();
  #connection: Connection | undefined;
  #process: RemoteProcess | undefined;
  #broken: VolleyError | undefined;
  #uploadedBytes: number;
  /** Of a bundle that was being sent when the connection went. */
  #leftNonce: string | undefined;
  #cancelled = false;
  #closed = false;
  /** True once there has been a connection. */
  #reached = false;
  /** True once the host may have got the job. */
  #known: boolean;
  /** Whether the process now running has said hello. */
  #greeted = false;
  /** Whether it reads what is meant for it: what makes it another user's would take that for a password. */
  #listening = false;
  /** Whether it is worked on from here. */
  #isDirect: boolean;
  #talk: BecomeTalk | undefined;
  #tellLastWord: () => void = () => {};

  constructor(options: HostRunOptions, context: HostLinkContext) {
    this.#options = options;
    this.#context = context;
    this.#noise = new HostNoise(options.endpoint.host, options.emit);
    this.#isDirect = options.via === "direct" || options.earlier?.method === "direct";
    this.#known = options.earlier?.known ?? false;
    this.#uploadedBytes = options.earlier?.uploadedBytes ?? 0;
    const restart = options.earlier?.restart;
    if (restart === undefined) return;
    this.#reached = true;
    this.#absence.begin(restart.timeoutMs, RESTARTS);
  }

  get uploadedBytes(): number {
    return this.#uploadedBytes;
  }

  /** Whether the host may have got its job. */
  get isKnown(): boolean {
    return this.#known;
  }

  /** The loss that is not over; undefined when there is none. */
  get loss(): { readonly reason: string; readonly limitMs: number } | undefined {
    return this.#absence.loss;
  }

  /** What the host said that cannot be understood. */
  get broken(): VolleyError | undefined {
    return this.#broken;
  }

  /** The last line the host wrote to standard error; empty when there is none. */
  get lastSaid(): string {
    return this.#noise.lastLine;
  }

  /** Has the host carry out its job, over as many connections as that takes; gives how its process ended. */
  async carryOut(place: Place): Promise<RemoteExit> {
    for (;;) {
      try {
        const connection = await this.#connect(place);
        if (this.#closed) connection.close();
        this.#connection = connection;
        this.#reached = true;
        if (this.#known || !this.#options.mayLaunch) await this.#attach(connection);
        else await this.#launch(connection);
        const exit = await this.#exit(connection);
        if (!this.#mayGoOn(exit)) return exit;
        this.#leave(exit.kind === "lost" ? exit.reason : "its process ended");
      } catch (thrown) {
        if (!this.#mayTryAgain(thrown)) throw thrown;
        this.#leave(isVolleyError(thrown) ? thrown.message : String(thrown));
      }
    }
  }

  /** Says something to the host, again after every time it was lost. */
  tell(command: Command): void {
    this.#said.add(command);
    this.#send(command);
  }

  /**
   * Asks the host to finish the action now running and end, as soon as it is there to be told; before it has started
   * any, connecting and sending end.
   */
  cancel(): void {
    this.#cancelled = true;
    if (this.#process !== undefined && this.#listening) this.#send({ type: "cancel" });
    else if (!this.#known) this.#abort.abort();
  }

  /** Asks the host to end the action now running too, and ends connecting and sending. */
  kill(): void {
    this.#cancelled = true;
    this.#send({ type: "kill" });
    this.#abort.abort();
  }

  /** Closes what is open, and ends what is being opened. */
  close(): void {
    this.#closed = true;
    this.#abort.abort();
    this.#connection?.close();
  }

  /** Connects; a host that was lost is tried until its time is up. */
  async #connect(place: Place): Promise<Connection> {
    const { endpoint, transport, emit } = this.#options;
    const { host, address, port, user } = endpoint;
    const absent = this.#absence.going;
    if (absent) await place.during(this.#absence.pause(this.#abort.signal));
    else emit({ type: "host:connect", host, address, port, user });
    const connection = await place.during(
      within(absent ? this.#absence.remainingMs : undefined, this.#abort.signal, (signal) =>
        transport.connect(endpoint, signal),
      ),
    );
    const { connectMs, authenticateMs } = connection.timings;
    this.#context.clock.add("connect", connectMs);
    this.#context.clock.add("authenticate", authenticateMs);
    emit({ type: "host:connected", host, elapsedMs: connectMs + authenticateMs });
    this.#context.clock.mark();
    return connection;
  }

  async #launch(connection: Connection): Promise<void> {
    const { bundle, become, emit, endpoint, via } = this.#options;
    const { host } = endpoint;
    if (this.#isDirect) return this.#launchDirectly(connection);
    const options = { left: this.#leftNonce, mayDecline: via === "auto" };
    // One that was built just now is on no host: what sends it is opened beside the question.
    const copies = become !== null && keepsOwnCopy(become);
    if (!bundle.reused && !copies && this.#uploadedBytes === 0) connection.expectUpload?.();
    let first = await this.#start(connection, (as) => launchCommand(bundle.id, as, options), true);
    this.#leftNonce = undefined;
    if (first.kind === "hello" && this.#uploadedBytes === 0) emit({ type: "host:cached", host });
    for (let tries = 1; first.kind === ABSENT || first.kind === CORRUPT; tries++) {
      // Its process has ended: from here on there is none to tell of a cancel.
      this.#process = undefined;
      this.#known = false;
      if (first.kind === CORRUPT && tries > UPLOAD_TRIES) throw explainDamage(host, bundle.id, UPLOAD_TRIES);
      if (this.#cancelled)
        throw new VolleyError("CANCELLED", `${host}: cancelled before the bundle was sent`);
      if (copies) {
        first = await this.#start(connection, (as) => launchCommand(bundle.id, as), true);
        continue;
      }
      const nonce = makeNonce();
      this.#leftNonce = nonce;
      const onProgress = tellUpload(this.#options);
      await sendBundle(connection, bundle, { nonce, signal: this.#abort.signal, onProgress });
      this.#uploadedBytes += bundle.bytes.length;
      this.#context.clock.take("upload");
      first = await this.#start(connection, (as) => verifyAndLaunchCommand(bundle.id, nonce, as), true);
      if (first.kind !== "ended") this.#leftNonce = undefined;
    }
    if (options.mayDecline && lacksNode(first)) {
      emit({ type: "log", host, level: "info", text: WITHOUT_NODE });
      return this.#launchDirectly(connection);
    }
    if (first.kind === "ended") {
      // The connection went before a word came back: the host may be at work all the same.
      if (this.#mayGoOn(first.exit)) return;
      this.#known = false;
      throw this.#broken ?? this.#explain(first.exit);
    }
    emit({ type: "host:start", host, method: "bundle" });
    this.#context.clock.take("start");
    this.#comeBack();
  }

  async #launchDirectly(connection: Connection): Promise<void> {
    this.#isDirect = true;
    this.#process = undefined;
    this.#known = false;
    const here = await openDirectly(connection, this.#options, this.#abort.signal);
    const first = await this.#start(here, () => "", true);
    if (first.kind === "ended") throw this.#broken ?? this.#explain(first.exit);
    this.#options.emit({ type: "host:start", host: this.#options.endpoint.host, method: "direct" });
    this.#context.clock.take("start");
  }

  /** Asks the host for the rest of the run; one that knows nothing of it is asked to begin. */
  async #attach(connection: Connection): Promise<void> {
    const { bundle, job, mayLaunch } = this.#options;
    const { record } = this.#context;
    const { gone } = record;
    record.gone = undefined;
    if (this.#isDirect) throw explainDirectEnd(this.#options.endpoint.host);
    if (gone?.restarted === true && mayLaunch) return this.#launch(connection);
    const from = Math.max(FIRST_JOURNALED, record.lastSequence + 1);
    const first = await this.#start(
      connection,
      (as) => attachCommand(bundle.id, as, { run: job.session!.run, host: job.host }, from),
      false,
    );
    if (first.kind === "ended" && !this.#mayGoOn(first.exit)) {
      const { exit } = first;
      if (this.#broken !== undefined) throw this.#broken;
      if (exit.kind !== "exited" || exit.code !== LAUNCH_EXITS.unknownRun) throw this.#explain(exit);
      if (!mayLaunch) {
        throw new VolleyError(
          "CANCELLED",
          `${this.#options.endpoint.host} was not begun, and the playbook has changed since`,
        );
      }
      return this.#launch(connection);
    }
    if (first.kind === "ended") return;
    // One that is to restart has only not gone down yet.
    if (record.restart === undefined) this.#comeBack();
    this.#sendAgain();
  }

  #explain(exit: RemoteExit): VolleyError {
    const { endpoint, become, mask } = this.#options;
    const said = this.#talk?.said() ?? "";
    const stderr = this.#noise.stderr === "" ? (mask?.text(said) ?? said) : this.#noise.stderr;
    const asked = this.#talk?.asked() ?? false;
    return explainFailedStart({ endpoint, become, exit, stderr, asked });
  }

  #comeBack(): void {
    const awayMs = this.#absence.end();
    if (awayMs !== undefined)
      this.#options.emit({ type: "host:back", host: this.#options.endpoint.host, awayMs });
  }

  /** How the host's process ended. */
  async #exit(connection: Connection): Promise<RemoteExit> {
    const { record } = this.#context;
    const spoken = new Promise<void>((resolve) => {
      this.#tellLastWord = resolve;
      if (record.bye !== undefined || record.gone !== undefined) resolve();
    });
    const exit = await exitAfter(spoken, this.#process!);
    return record.bye === undefined ? wholeExit(exit, connection) : exit;
  }

  /** Whether a process that ended without saying bye has left a run behind that goes on, or can. */
  #mayGoOn(exit: RemoteExit): boolean {
    return this.#mayReturn() && mayGoOn(exit, this.#cut());
  }

  /** Whether what went wrong may be over when the host is tried again. */
  #mayTryAgain(thrown: unknown): boolean {
    if (this.#cancelled && !this.#known) return false;
    return this.#mayReturn() && mayTryAgain(thrown, this.#cut());
  }

  #cut(): CutLine {
    const { mayLaunch } = this.#options;
    const { record } = this.#context;
    return { record, mayLaunch, reached: this.#reached, greeted: this.#greeted, away: this.#absence.going };
  }

  #mayReturn(): boolean {
    const { job, now } = this.#options;
    if (this.#isDirect || this.#broken !== undefined || job.session === undefined) return false;
    return !now.aborted && this.#absence.remainingMs > 0;
  }

  #leave(reason: string): void {
    const { emit, returnTimeoutMs } = this.#options;
    const { restart } = this.#context.record;
    this.#process = undefined;
    this.#connection?.close();
    this.#connection = undefined;
    const limitMs = restart?.timeoutMs ?? returnTimeoutMs;
    const why = restart === undefined ? reason : RESTARTS;
    if (this.#absence.begin(limitMs, why))
      emit({
        type: "host:lost",
        host: this.#options.endpoint.host,
        reason: restart === undefined && this.#context.record.endsWithLogin ? `${why}; ${ENDS.text}` : why,
      });
  }

  /** Starts a command that speaks the protocol, with the job where it is to carry it out. */
  #start(
    connection: Connection,
    command: (as: LaunchAs | null) => string,
    withJob: boolean,
  ): Promise<FirstWord> {
    const { startTimeoutMs, mask, endpoint, bundle } = this.#options;
    const become = this.#isDirect ? null : this.#options.become;
    const as = become === null ? null : { become, nonce: makeBecomeNonce(), bytes: bundle.bytes.length };
    this.#noise.begin();
    this.#greeted = false;
    this.#listening = false;
    this.#talk = undefined;
    return speak(connection, {
      host: endpoint.host,
      command: command(as),
      ...(become !== null && needsTerminal(become) ? { exec: { pty: BECOME_TERMINAL } } : {}),
      ...(as !== null && isLaunchTalked(as.become) ? { talk: (process) => this.#become(process, as) } : {}),
      signal: this.#abort.signal,
      after: this.#context.record.lastSequence,
      timeoutMs: Math.min(startTimeoutMs, Math.max(MIN_START_MS, this.#absence.remainingMs)),
      mask,
      event: (event) => this.#take(event),
      noise: (text) => this.#noise.tell(text),
      stderr: (text) => this.#noise.takeStderr(text),
      broken: (error) => {
        this.#broken = error;
      },
      started: (process) => {
        this.#process = process;
      },
      ready: () => {
        this.#listening = true;
        if (!withJob) return;
        // From here on the host may be at work, whatever becomes of the connection.
        this.#known = true;
        this.#process!.stdin.write(
          encodeLine(encodeVars(jobAfter(this.#options.job, this.#context.record.lastSequence))),
        );
        this.#sendAgain();
      },
    });
  }

  #become(process: RemoteProcess, as: LaunchAs): BecomeTalk {
    this.#talk = answerBecome(process, {
      host: this.#options,
      as,
      signal: this.#abort.signal,
      onSent: () => {
        this.#uploadedBytes += this.#options.bundle.bytes.length;
        this.#context.clock.take("upload");
      },
    });
    return this.#talk;
  }

  /** What was said to the host already, to a process or over a connection that may not have taken it in. */
  #sendAgain(): void {
    for (const command of this.#said) this.#send(command);
    if (this.#cancelled) this.#send({ type: "cancel" });
  }

  #take(event: WireEvent): void {
    const { record } = this.#context;
    const { restart } = record;
    if (event.type === "hello") this.#greeted = true;
    else if (event.type !== "gone" && event.seq > record.lastSequence) this.#absence.progress();
    this.#context.take(event);
    if (event.type === "task:end" && restart !== undefined && record.restart === undefined) this.#comeBack();
    if (event.type === "bye" || event.type === "gone") this.#tellLastWord();
  }

  #send(command: Command): void {
    if (this.#listening && this.#process?.stdin.writable === true)
      this.#process.stdin.write(encodeLine(command));
  }
}
