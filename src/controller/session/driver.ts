import { setTimeout as sleep } from "node:timers/promises";
import { VolleyError } from "../../core/errors.ts";
import type { HostEnd } from "../../core/events.ts";
import { type Command, encodeLine, type Job, type WireEvent } from "../../core/protocol.ts";
import { RUNTIME_CACHE } from "../../core/runtimes.ts";
import { DEFAULT_BECOME_USER, needsTerminal } from "../../core/unix/users.ts";
import { startDirect } from "../../direct/serve.ts";
import { BECOME_TERMINAL, type BecomeTalk, makeBecomeNonce, talkBecome } from "../../transport/become.ts";
import type { Connection, RemoteExit, RemoteProcess } from "../../transport/transport.ts";
import { encodeVars } from "../../vars/whole-value.ts";
import type { Place } from "../schedule/places.ts";
import { Ends } from "./ends.ts";
import { commandOf, isLaunchTalked, type LaunchAs } from "./launch.ts";
import { HostNoise, onMaskedText, receive } from "./receive.ts";
import type { HeldSession, SessionOptions } from "./session.ts";
import {
  type Effect,
  type EndReason,
  hasEndedBefore,
  type Input,
  isAt,
  openSession,
  type PlayLimit,
  type Script,
  type Session,
  type TimerName,
  type Upload,
} from "./state.ts";
import { step } from "./step.ts";
import { FIRST_JOURNALED } from "./told.ts";
import { makeNonce, sendBundle, sendRuntime, WaitingScript, writeFile } from "./upload.ts";
import { within } from "./within.ts";

/** Time to wait until a lost connection is reported as closed, in milliseconds. */
const CLOSING_MS = 100;

/** Open one host's part of a run. */
export function openHostSession(options: SessionOptions): HeldSession {
  return new Driver(options);
}

/** Carries out what step.ts decides: the only place of a session with promises, timers and connections. */
class Driver implements HeldSession {
  readonly #options: SessionOptions;
  readonly #noise: HostNoise;
  readonly #nonce = makeNonce();
  /** Aborts opening and uploading. The host's process gets a command instead. */
  readonly #abort = new AbortController();
  readonly #timers = new Map<TimerName | "first word", NodeJS.Timeout>();
  readonly #ends = new Ends();
  readonly #inputs: Input[] = [];
  #session: Session;
  #isStepping = false;
  #place: Place | undefined;
  #connection: Connection | undefined;
  #stdin: RemoteProcess["stdin"] | undefined;
  /** The script that verifies an upload which is under way. */
  #verifying: WaitingScript | undefined;
  /** Counts effects that report later: a report of an effect that another one has replaced is dropped. */
  #attempt = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { endpoint, become, bundle, job, mayLaunch, node, via, earlier } = options;
    const { startTimeoutMs, returnTimeoutMs, waitMs } = options;
    this.#noise = new HostNoise(endpoint.host, options.emit);
    this.#session = openSession(
      {
        endpoint,
        become,
        bundle,
        plays: job.plays,
        mayLaunch,
        node,
        startTimeoutMs,
        returnTimeoutMs,
        waitMs,
      },
      via,
      performance.now(),
      earlier,
    );
    const { state, told } = this.#session;
    for (const [index, failed] of told.endedPlays) this.#ends.playEnded(index, failed);
    if (state.is === "ended") this.#ends.ended(state.end);
  }

  get host(): string {
    return this.#options.endpoint.host;
  }

  get end(): Promise<HostEnd> {
    return this.#ends.end;
  }

  get isOver(): boolean {
    return this.#session.state.is === "ended";
  }

  isAt(index: number): boolean {
    return isAt(this.#session, index);
  }

  hasEndedBefore(index: number): boolean {
    return hasEndedBefore(this.#session, index);
  }

  playEnd(index: number): Promise<boolean> {
    return this.#ends.ofPlay(index);
  }

  begin(place: Place): void {
    this.#place = place;
    this.#input({ type: "begin" });
  }

  goOn(after: number): void {
    this.#input({ type: "continue", play: after });
  }

  limit(limit: PlayLimit): void {
    this.#input({ type: "limit", limit });
  }

  tell(command: Command): void {
    this.#input({ type: "say", command });
  }

  cancel(why?: EndReason): void {
    this.#input({ type: "cancel", why });
  }

  kill(): void {
    this.#input({ type: "kill" });
  }

  letGo(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#abort.abort();
    this.#leave();
  }

  /** Take a step, and carry its effects out before the next one: an effect may cause an input at once. */
  #input(input: Input): void {
    this.#inputs.push(input);
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        const [state, effects] = step(this.#session, next, performance.now());
        this.#session = state;
        for (const effect of effects) this.#carryOut(effect);
      }
    } finally {
      this.#isStepping = false;
    }
  }

  #carryOut(effect: Effect): void {
    const options = this.#options;
    switch (effect.type) {
      case "connect":
        return this.#report((report) => this.#connect(effect.pauseMs, effect.until, report));
      case "exec":
        return this.#report((report) => this.#exec(effect.script, effect.limitMs, report));
      case "upload":
        return this.#report((report) => this.#upload(effect.upload, report));
      case "job":
        return this.#write(encodeVars(jobAfter(options.job, effect.after)));
      case "write":
        return this.#write(effect.command);
      case "emit":
        return options.emit(effect.event);
      case "ask":
        return options.ask(effect.question);
      case "keep":
        return this.#keep(effect.task, effect.whole);
      case "play":
        return this.#ends.playEnded(effect.index, effect.failed);
      case "wait":
        return this.#wait(effect.timer, effect.ms, () => this.#input({ type: "timer", timer: effect.timer }));
      case "unwait":
        return clearTimeout(this.#timers.get(effect.timer));
      case "abort":
        return this.#abort.abort();
      case "leave":
        return this.#leave();
      case "end":
        this.letGo();
        options.emit(effect.end);
        return this.#ends.ended(effect.end);
    }
  }

  #keep(task: number, whole: string | undefined): void {
    const say = (): void => this.tell({ type: "taken", task });
    const kept = this.#options.keepResult(task, whole);
    if (kept === undefined) say();
    else void kept.then(say);
  }

  /** Do what takes time. Its reports count until another such effect takes its place. */
  #report(work: (report: Report) => Promise<void>): void {
    const attempt = ++this.#attempt;
    const report: Report = {
      get counts() {
        return isCurrent();
      },
      input: (input) => {
        if (isCurrent()) this.#input(input);
      },
    };
    const isCurrent = (): boolean => attempt === this.#attempt;
    work(report).catch((error: unknown) => report.input({ type: "failed", error }));
  }

  async #connect(pauseMs: number, until: number | undefined, report: Report): Promise<void> {
    const { endpoint, transport } = this.#options;
    const { signal } = this.#abort;
    const place = this.#place!;
    const leftMs = (): number | undefined =>
      until === undefined ? undefined : Math.max(0, until - performance.now());
    if (pauseMs > 0) {
      // Not all hosts of a rack at the same moment.
      const drawnMs = pauseMs * (0.5 + Math.random());
      await place.during(sleep(Math.min(drawnMs, leftMs() ?? drawnMs), undefined, { signal }));
    }
    const connection = await place.during(
      within(leftMs(), signal, (limited) => transport.connect(endpoint, limited)),
    );
    if (!report.counts) return connection.close();
    this.#connection = connection;
    report.input({ type: "connected", ...connection.timings });
  }

  async #upload(upload: Upload, report: Report): Promise<void> {
    const { number, bundle, runtime } = upload;
    const { signal } = this.#abort;
    const { id, bytes } = this.#options.bundle;
    const connection = this.#connection!;
    const nonce = this.#nonceOf(number);
    const total = (runtime?.bytes ?? 0) + (bundle ? bytes.length : 0);
    const tell = this.#progress(total);
    const verify = { is: "verify", upload } as const;
    const as = this.#launchAs(verify);
    // Only a connection that was prepared for uploads has a session to spare; and a dialogue about a password cannot wait.
    if (connection.expectUpload !== undefined && !(as !== null && isLaunchTalked(as.become)))
      this.#verifying = new WaitingScript(connection, this.#commandOf(verify, as), signal);
    try {
      if (runtime !== undefined) {
        const archive = await this.#options.readRuntime(runtime.id);
        const directory = this.#options.node.directory ?? RUNTIME_CACHE;
        const { id } = runtime;
        await sendRuntime(connection, { id, directory, bytes: archive, signal, onProgress: tell });
      }
      if (bundle) {
        const onProgress = (sent: number): void => tell((runtime?.bytes ?? 0) + sent);
        await sendBundle(connection, { id, nonce, bytes, signal, onProgress });
      }
    } catch (thrown) {
      void this.#verifying?.dismiss();
      this.#verifying = undefined;
      throw thrown;
    }
    report.input({ type: "uploaded", bytes: total });
  }

  async #exec(script: Script, limitMs: number, report: Report): Promise<void> {
    const { mask } = this.#options;
    const connection = this.#connection!;
    const as = this.#launchAs(script);
    if (script.is === "launch" && script.expectsUpload) void connection.expectUpload?.();
    this.#noise.begin();
    const started = await this.#start(connection, script, as);
    const limitStart = (): void =>
      this.#wait("first word", limitMs, () => {
        const message = `${this.host}: the bundle did not start within ${limitMs / 1_000} s`;
        const hint = "does a profile of the login shell, such as ~/.bashrc, wait for something?";
        report.input({ type: "failed", error: new VolleyError("TIMEOUT", message, { hint }) });
      });
    const talk =
      as !== null && isLaunchTalked(as.become)
        ? this.#talk(started, as, script, report, limitStart)
        : undefined;
    const process = talk?.process ?? started;
    onMaskedText(process.stderr, mask, (text) => {
      if (report.counts) this.#noise.takeStderr(text);
    });
    let isGreeted = false;
    let saidBye = false;
    let answer: Pick<Extract<Input, { type: "word" }>, "word" | "rest"> | undefined;
    receive(
      process.stdout,
      {
        event: (event) => {
          isGreeted ||= event.type === "hello";
          saidBye ||= event.type === "bye";
          report.input(this.#asInput(event));
          if (this.#session.state.is !== "starting") clearTimeout(this.#timers.get("first word"));
        },
        question: (question) => report.input({ type: "question", question }),
        share: ({ task, whole }) => report.input({ type: "share", task, whole }),
        noise: (text) => {
          if (report.counts) this.#noise.tell(text);
        },
        answer: (word, rest) => {
          answer = { word, rest };
        },
        broken: (error) => report.input({ type: "broken", error }),
      },
      this.#session.told.lastSequence,
    );
    if (!report.counts) return;
    this.#stdin = process.stdin;
    limitStart();
    // A script that only answers must be gone before the next one is started in its place.
    void process.exit.then(async (exit) => {
      if (!report.counts) return;
      clearTimeout(this.#timers.get("first word"));
      if (!isGreeted && answer !== undefined) return report.input({ type: "word", ...answer });
      const said = talk?.said() ?? "";
      report.input({
        type: "exited",
        end: {
          exit: saidBye ? exit : await wholeExit(exit, connection),
          stderr: this.#noise.stderr,
          said: mask?.text(said) ?? said,
          asked: talk?.asked() ?? false,
        },
      });
    });
    await talk?.ready;
    report.input({ type: "ready" });
    if (this.#session.state.is !== "starting") clearTimeout(this.#timers.get("first word"));
  }

  async #start(connection: Connection, script: Script, as: LaunchAs | null): Promise<RemoteProcess> {
    const { endpoint, become, bundle, playbook } = this.#options;
    const { signal } = this.#abort;
    if (script.is === "direct")
      return startDirect(connection, { endpoint, become, playbook, signal, bundleId: bundle.id });
    const verifying = this.#verifying;
    this.#verifying = undefined;
    const waiting = script.is === "verify" ? await verifying?.release() : undefined;
    if (waiting !== undefined) return waiting;
    const command = this.#commandOf(script, as);
    if (as !== null && needsTerminal(as.become))
      return connection.exec(command, signal, { pty: BECOME_TERMINAL });
    // Neither does it talk, nor does it wait for more than the job.
    const awaitsInput = script.is === "launch" && (as === null || !isLaunchTalked(as.become));
    return connection.exec(command, signal, { awaitsInput });
  }

  #commandOf(script: Exclude<Script, { is: "direct" }>, as: LaunchAs | null): string {
    const { bundle, job, node } = this.#options;
    const part = { run: job.session.run, host: job.host };
    return commandOf(script, as, {
      id: bundle.id,
      file: bundle.file,
      part,
      node,
      nonceOf: (upload) => this.#nonceOf(upload),
    });
  }

  /** Answer what sudo, doas or su asks before the process is the wanted user's. */
  #talk(
    process: RemoteProcess,
    { become, nonce }: LaunchAs,
    script: Script,
    report: Report,
    limitStart: () => void,
  ): BecomeTalk {
    const { endpoint, bundle } = this.#options;
    const { signal } = this.#abort;
    const bring = script.is === "launch" ? script.bring : undefined;
    const send = async (bytes: Buffer, from = 0): Promise<void> => {
      const tell = this.#progress(bytes.length);
      const onProgress: typeof tell = (sent) => {
        tell(from + sent);
        // The script says its first word once all has arrived.
        if (report.counts) limitStart();
      };
      if (await writeFile(process, { bytes: bytes.subarray(from), signal, onProgress }))
        report.input({ type: "uploaded", bytes: bytes.length });
    };
    return talkBecome(process, {
      ...{ host: endpoint.host, login: endpoint.user, become, nonce, signal },
      sendBundle: () => send(bundle.bytes),
      sendRuntime: async (from) => {
        if (bring !== undefined) await send(await this.#options.readRuntime(bring.id), from);
      },
    });
  }

  /** An event as an input, with errors from the playbook's code located in its source. */
  #asInput(event: WireEvent): Input {
    const { locate } = this.#options;
    if (event.type === "task:end" && event.result.error !== undefined)
      return {
        type: "event",
        event: { ...event, result: { ...event.result, error: locate(event.result.error) } },
      };
    if (event.type === "bye" && event.error !== undefined)
      return { type: "event", event: { ...event, error: locate(event.error) } };
    return { type: "event", event };
  }

  /** Return what tells how much of so many bytes has arrived, and how long that took. */
  #progress(totalBytes: number): (bytes: number) => void {
    const { endpoint, emit } = this.#options;
    const startedAt = performance.now();
    return (bytes) => {
      const elapsedMs = performance.now() - startedAt;
      emit({ type: "host:upload", host: endpoint.host, bytes, totalBytes, elapsedMs });
    };
  }

  /** Return the user that a script runs as; null: the login user. */
  #launchAs(script: Script): LaunchAs | null {
    const { become, bundle } = this.#options;
    if (become === null || script.is === "direct") return null;
    if (script.is === "install" && become.user !== DEFAULT_BECOME_USER) return null;
    return { become, nonce: makeBecomeNonce(), bytes: bundle.bytes.length };
  }

  #nonceOf(upload: number): string {
    return `${this.#nonce}-${upload}`;
  }

  #write(line: Command | Job): void {
    if (this.#stdin?.writable === true) this.#stdin.write(encodeLine(line));
  }

  #wait(timer: TimerName | "first word", ms: number, then: () => void): void {
    clearTimeout(this.#timers.get(timer));
    this.#timers.set(timer, setTimeout(then, ms));
  }

  #leave(): void {
    this.#attempt++;
    this.#stdin = undefined;
    clearTimeout(this.#timers.get("first word"));
    this.#connection?.close();
    this.#connection = undefined;
  }
}

/** The report of an effect that takes time. */
interface Report {
  /** False once another effect has replaced this one, whose result then no longer counts. */
  readonly counts: boolean;
  input(input: Input): void;
}

/** The job of a run of which events have arrived already: the host tells those after the last of them. */
function jobAfter(job: SessionOptions["job"], lastSequence: number): Job {
  return lastSequence < FIRST_JOURNALED ? job : { ...job, session: { ...job.session, after: lastSequence } };
}

/**
 * Return the end of a process that ended without `bye`. sshd reports the end before it has sent all output, so the
 * connection may be lost in between.
 */
async function wholeExit(exit: RemoteExit, connection: Connection): Promise<RemoteExit> {
  if (exit.kind === "lost") return exit;
  const over = new AbortController();
  const isGone = await Promise.race([
    connection.closed.then(() => true),
    sleep(CLOSING_MS, false, { signal: over.signal }).catch(() => false),
  ]);
  over.abort();
  return isGone ? { kind: "lost", reason: "the connection went before all was said" } : exit;
}
