import { randomBytes } from "node:crypto";
import { type SerializedError, serializeError, VolleyError } from "../core/errors.ts";
import type { ControllerEvent, HostEnd, Outcome, Phase, ReceivedEvent } from "../core/events.ts";
import { type Command, encodeLine, type Job, type WireEvent } from "../core/protocol.ts";
import { countState, EMPTY_TALLY, type Tally } from "../core/result.ts";
import type { Connection, Endpoint, RemoteExit, RemoteProcess, Transport } from "../transport/transport.ts";
import {
  ABSENT,
  CORRUPT,
  discardCommand,
  LAUNCH_EXITS,
  launchCommand,
  temporaryPath,
  verifyAndLaunchCommand,
} from "./launch.ts";
import { receive } from "./receive.ts";

/** What one host's part of a run needs. */
export interface HostRunOptions {
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  readonly bundle: { readonly id: string; readonly bytes: Buffer };
  readonly job: Job;
  /** The user to become on the host. */
  readonly become: string | null;
  emit(event: ReceivedEvent | ControllerEvent): void;
  /** Gives an error that came from the playbook's code its place in the source. */
  locate(error: SerializedError): SerializedError;
  /** Aborted: end at once. */
  readonly now: AbortSignal;
  /** From starting the bundle to its `hello`. */
  readonly startTimeoutMs: number;
}

const STDERR_KEPT = 4_000;
const UPLOAD_TRIES = 2;
const PROGRESS_MS = 100;
const DISCARD_MS = 5_000;

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
    const { endpoint, transport, emit } = this.#options;
    const { host, address, port, user } = endpoint;
    try {
      emit({ type: "host:connect", host, address, port, user });
      const connection = await transport.connect(endpoint, this.#abort.signal);
      if (this.#ended) return connection.close();
      this.#connection = connection;
      const { connectMs, authenticateMs } = connection.timings;
      this.#addPhase("connect", connectMs);
      this.#addPhase("authenticate", authenticateMs);
      emit({ type: "host:connected", host, elapsedMs: connectMs + authenticateMs });
      await this.#launch(connection);
      const exit = await this.#process!.exit;
      this.#addPhase("collect", this.#sinceMark());
      this.#conclude(exit);
    } catch (thrown) {
      if (this.#cancelled) this.#finish("cancelled");
      else this.#finish(outcomeOf(thrown), serializeError(thrown));
    }
  }

  async #launch(connection: Connection): Promise<void> {
    const { bundle, become, emit } = this.#options;
    const { host } = this.#options.endpoint;
    this.#lastMark = performance.now();
    let started = await this.#start(connection, launchCommand(bundle.id, become));
    if (started.kind === "hello") emit({ type: "host:cached", host });
    for (let tries = 1; started.kind === ABSENT || started.kind === CORRUPT; tries++) {
      if (started.kind === CORRUPT && tries > UPLOAD_TRIES) {
        throw new VolleyError(
          "UPLOAD_FAILED",
          `${host}: the bundle arrived damaged ${UPLOAD_TRIES} times: its SHA-256 is not ${bundle.id.slice(0, 12)}…`,
          {
            hint: "something between here and the host, or its disk, changes data",
          },
        );
      }
      // Its process has ended: from here on there is none to tell of a cancel.
      this.#process = undefined;
      if (this.#cancelled)
        throw new VolleyError("CANCELLED", `${host}: cancelled before the bundle was sent`);
      const nonce = randomBytes(6).toString("hex");
      await this.#upload(connection, bundle, nonce);
      started = await this.#start(connection, verifyAndLaunchCommand(bundle.id, nonce, become));
    }
    if (started.kind === "ended") throw this.#explainNoStart(started.exit);
    emit({ type: "host:start", host });
    this.#addPhase("start", this.#sinceMark());
  }

  async #start(connection: Connection, command: string): Promise<Started> {
    const { job, startTimeoutMs, endpoint } = this.#options;
    const process = await connection.exec(command, this.#abort.signal);
    this.#process = process;
    this.#stderr = "";
    process.stderr.on("data", (chunk: Buffer) => this.#takeStderr(chunk));
    const started = new Promise<Started>((resolve) => {
      receive(process.stdout, {
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
      });
      void process.exit.then((exit) => resolve({ kind: "ended", exit }));
    });
    process.stdin.write(encodeLine(job));
    if (this.#cancelled) this.#send({ type: "cancel" });
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

  async #upload(
    connection: Connection,
    bundle: { readonly id: string; readonly bytes: Buffer },
    nonce: string,
  ): Promise<void> {
    const { emit, endpoint } = this.#options;
    const { host } = endpoint;
    const totalBytes = bundle.bytes.length;
    const startedAt = performance.now();
    let toldAt = startedAt;
    const tell = (bytes: number): void =>
      emit({ type: "host:upload", host, bytes, totalBytes, elapsedMs: performance.now() - startedAt });
    tell(0);
    try {
      await connection.upload(bundle.bytes, temporaryPath(bundle.id, nonce), {
        mode: 0o600,
        signal: this.#abort.signal,
        onProgress: (bytes) => {
          const time = performance.now();
          if (bytes < totalBytes && time - toldAt < PROGRESS_MS) return;
          toldAt = time;
          tell(bytes);
        },
      });
    } catch (thrown) {
      await this.#discard(connection, bundle.id, nonce);
      throw thrown;
    }
    this.#uploadedBytes += totalBytes;
    this.#addPhase("upload", this.#sinceMark());
  }

  /** Removes what was sent in part, unless the host no longer answers. */
  async #discard(connection: Connection, id: string, nonce: string): Promise<void> {
    const limit = AbortSignal.timeout(DISCARD_MS);
    const late = new Promise<void>((resolve) =>
      limit.addEventListener("abort", () => resolve(), { once: true }),
    );
    const discarding = connection.exec(discardCommand(id, nonce), limit).then(
      async (process) => {
        process.stdout.resume();
        process.stderr.resume();
        await process.exit;
      },
      () => undefined,
    );
    await Promise.race([discarding, late]);
  }

  #takeStderr(chunk: Buffer): void {
    const text = chunk.toString("utf8");
    this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    for (const line of text.split("\n"))
      if (line.trim() !== "")
        this.#options.emit({ type: "host:noise", host: this.host, text: line.slice(0, 1_000) });
  }

  #take(event: WireEvent): void {
    const { emit, locate } = this.#options;
    const { seq: _seq, time: _time, ...told } = event;
    switch (told.type) {
      case "facts":
        this.#addPhase("facts", this.#sinceMark());
        break;
      case "play:start":
      case "play:plan":
        this.#total = told.total;
        break;
      case "task:end": {
        this.#tally = countState(this.#tally, told.result.state);
        const { error, state, ignored } = told.result;
        if (state === "failed" && ignored !== true) this.#hasFailed = true;
        if (error === undefined) break;
        emit({ ...told, result: { ...told.result, error: locate(error) }, host: this.host });
        return;
      }
      case "play:end":
        this.#addPhase("tasks", this.#sinceMark());
        this.#waitingSince = performance.now();
        emit({ ...told, host: this.host });
        this.#playEnd(told.index).resolve();
        return;
      case "bye":
        this.#bye = event as Extract<WireEvent, { type: "bye" }>;
        this.#tally = told.tally;
        break;
      default:
        break;
    }
    emit({ ...told, host: this.host });
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
        exit.kind === "lost"
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

  #explainNoStart(exit: RemoteExit): VolleyError {
    const { host, user } = this.#options.endpoint;
    const lines = this.#stderr.trim().split("\n");
    const said = lines.at(-1) ?? "";
    const volley = lines.find((line) => line.startsWith("volley: "));
    if (this.#broken !== undefined) return this.#broken;
    if (exit.kind === "lost") return new VolleyError("CONNECTION_LOST", `${host}: ${exit.reason}`);
    const code = exit.kind === "exited" ? exit.code : undefined;
    if (code === LAUNCH_EXITS.noNode) {
      return new VolleyError("NODE_MISSING", `${host}: ${(volley ?? said).replace(/^volley: /, "")}`);
    }
    if (code === LAUNCH_EXITS.noCache) {
      return new VolleyError(
        "UPLOAD_FAILED",
        `${host}: cannot keep the bundle in ${user}'s home: ${said || "the directory cannot be made"}`,
      );
    }
    if (this.#options.become !== null && /sudo|password|not in the sudoers|may not run/i.test(said)) {
      return new VolleyError(
        "BECOME_FAILED",
        `${host}: ${user} cannot become ${this.#options.become}: ${said}`,
        {
          hint: "passwordless sudo is needed: add a NOPASSWD rule for the user, or log in as the user to become",
        },
      );
    }
    const how = code === undefined ? "a signal ended it" : `exit code ${code}`;
    return new VolleyError(
      "PROTOCOL_INVALID",
      `${host}: the bundle could not be started (${how})${said === "" ? "" : `: ${said}`}`,
    );
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

/** What a failure before the bundle ran makes of the host. */
function outcomeOf(thrown: unknown): Outcome {
  switch ((thrown as Partial<VolleyError>).code) {
    case "CONNECT_FAILED":
    case "AUTH_FAILED":
    case "HOST_KEY_UNKNOWN":
    case "HOST_KEY_CHANGED":
      return "unreachable";
    case "CONNECTION_LOST":
      return "lost";
    case "CANCELLED":
      return "cancelled";
    default:
      return "failed";
  }
}
