import type { Become } from "../../core/become.ts";
import { isVolleyError, type SerializedError, serializeError } from "../../core/errors.ts";
import type { ControllerEvent, HostEnd, Outcome, ReceivedEvent } from "../../core/events.ts";
import type { Command, Job, WireEvent } from "../../core/protocol.ts";
import type { Endpoint, RemoteExit, Transport } from "../../transport/transport.ts";
import type { Mask } from "../../vars/mask.ts";
import type { DirectPlaybook } from "../direct.ts";
import type { Place } from "../schedule/places.ts";
import type { EarlierPart } from "./earlier.ts";
import { ENDS, explainLoss, outcomeOf, signalOf } from "./explain-start.ts";
import { HostLink } from "./host-link.ts";
import { HostRecord } from "./host-record.ts";
import type { Via } from "./link-direct.ts";
import { PhaseClock } from "./phase-clock.ts";

/** What a host that was told to end at once may take to do so. */
const KILL_MS = 1_000;

/** What one host's part of a run needs. */
export interface HostRunOptions {
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  readonly bundle: { readonly id: string; readonly bytes: Buffer; readonly reused: boolean };
  readonly job: Job;
  /** The user to become on the host, and how. */
  readonly become: Become | null;
  /** Masks secrets in what the host says beside the protocol; `emit` masks the rest. */
  readonly mask: Mask | null;
  emit(event: ReceivedEvent | ControllerEvent): void;
  /** Called with the whole result of a task that other hosts are told of, before the event that ends it. */
  takeResult(task: number, whole: string | undefined): void;
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
  /** How the host is worked on. Default: by a bundle. */
  readonly via?: Via;
  /** What it is worked on with where no bundle is sent. */
  readonly playbook: DirectPlaybook;
  /** What a controller before this one has seen of the host. */
  readonly earlier?: EarlierPart;
}

interface PlayEnd {
  readonly promise: Promise<boolean>;
  readonly resolve: (failed: boolean) => void;
}

/** One host's part of a run, from connecting to its end. It never throws: what goes wrong is the outcome. */
export class HostRun {
  readonly #options: HostRunOptions;
  readonly #startedAt = performance.now();
  readonly #clock = new PhaseClock();
  readonly #link: HostLink;
  readonly #playEnds = new Map<number, PlayEnd>();
  readonly #record: HostRecord;
  /** Index of the play it is at, or is to begin. */
  #at: number;
  /** What it was told to end with. */
  #stopped: { readonly outcome: "cancelled" | "failed"; readonly error: SerializedError } | undefined;
  #begun = false;
  #cancelled = false;
  #waitingSince: number | undefined;
  #killing: NodeJS.Timeout | undefined;
  #resolveEnd!: (end: HostEnd) => void;
  #ended = false;
  /** Resolves once the host's part is over. */
  readonly end: Promise<HostEnd>;

  constructor(options: HostRunOptions) {
    this.#options = options;
    this.#record = new HostRecord(options.job.plays, options.earlier);
    this.#link = new HostLink(options, {
      record: this.#record,
      clock: this.#clock,
      take: (event) => this.#take(event),
    });
    this.#at = options.earlier?.play ?? options.job.plays[0] ?? 0;
    this.end = new Promise((resolve) => {
      this.#resolveEnd = resolve;
    });
    options.now.addEventListener("abort", this.#onNow, { once: true });
    if (options.earlier !== undefined) this.#takeUp(options.earlier);
  }

  /** Begins where an earlier controller was ended. */
  #takeUp({ end, endedPlays }: EarlierPart): void {
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
    const begun = this.#begun || this.#options.earlier?.known === true;
    return begun && !this.#ended && this.#at === index;
  }

  /** Whether its part was over, or as good as over, before it came to the play with this index. */
  hasEndedBefore(index: number): boolean {
    return (this.#ended || this.#record.hasFailed) && this.#at < index;
  }

  /** Begins the host's first play: connects. The place is lent to others while the host does not answer. */
  begin(place: Place): void {
    if (this.#begun || this.#ended) return;
    this.#begun = true;
    void this.#run(place);
  }

  /** Lets the host go on after the play with this index, which it has ended. */
  goOn(after: number): void {
    if (this.#ended) return;
    this.#clock.add("wait", performance.now() - (this.#waitingSince ?? performance.now()));
    this.#clock.mark();
    this.#at = this.#options.job.plays.find((index) => index > after) ?? this.#at;
    this.tell({ type: "continue", play: after });
  }

  /** Says something to the host, again after every time it was lost. */
  tell(command: Command): void {
    this.#link.tell(command);
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
    this.#link.cancel();
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
    this.#link.kill();
    // The host is told, or rid of what was being sent; whether it answers or not, the run ends.
    this.#killing = setTimeout(() => this.#finish("cancelled"), KILL_MS);
  };

  async #run(place: Place): Promise<void> {
    try {
      const exit = await this.#link.carryOut(place);
      this.#clock.take("collect");
      this.#conclude(exit);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #fail(thrown: unknown): void {
    if (this.#cancelled) return this.#finish("cancelled");
    const outcome = outcomeOf(thrown);
    const { loss, isKnown } = this.#link;
    if (loss === undefined || !["unreachable", "lost", "cancelled"].includes(outcome)) {
      return this.#finish(isKnown && outcome === "unreachable" ? "lost" : outcome, serializeError(thrown));
    }
    const last = isVolleyError(thrown) && thrown.code !== "CANCELLED" ? thrown.message : undefined;
    this.#finish(
      "lost",
      serializeError(explainLoss(this.host, { ...loss, last, ends: this.#record.endsWithLogin })),
    );
  }

  #take(event: WireEvent): void {
    const { emit, locate } = this.#options;
    const { host } = this;
    const { lastSequence } = this.#record;
    this.#record.take(event);
    const { seq: hostSeq, time: _time, ...told } = event;
    switch (told.type) {
      case "hello":
        // Of a process that was started before, or again: it is no event of the run.
        if (told.next !== undefined || lastSequence > hostSeq) return;
        break;
      case "gone":
        return;
      case "task:result":
        this.#options.takeResult(told.task, told.whole);
        this.tell({ type: "taken", task: told.task });
        return;
      case "play:start":
        this.#at = told.index;
        break;
      case "facts":
        this.#clock.take("facts");
        break;
      case "task:end": {
        const { error } = told.result;
        if (error === undefined) break;
        emit({ ...told, result: { ...told.result, error: locate(error) }, host, hostSeq });
        return;
      }
      case "play:end":
        this.#clock.take("tasks");
        this.#waitingSince = performance.now();
        emit({ ...told, host, hostSeq });
        this.#playEnd(told.index).resolve(told.failed || this.#stopped?.outcome === "failed");
        return;
      default:
        break;
    }
    emit({ ...told, host, hostSeq });
  }

  #conclude(exit: RemoteExit): void {
    const { bye, gone } = this.#record;
    if (this.#link.broken !== undefined) return this.#finish("lost", serializeError(this.#link.broken));
    if (bye === undefined) {
      if (this.#cancelled) return this.#finish("cancelled");
      const said = this.#link.lastSaid;
      const how =
        gone !== undefined
          ? gone.restarted
            ? "the host was restarted meanwhile"
            : gone.asked === true
              ? "the host was to restart, and has not gone down in its time"
              : this.#record.endsWithLogin
                ? `${ENDS.text}, and the connection was lost`
                : "the process that carried it out was killed"
          : exit.kind === "lost"
            ? exit.reason
            : signalOf(exit) !== undefined
              ? `${signalOf(exit)} ended it`
              : exit.kind === "exited"
                ? `it exited with code ${exit.code}`
                : "it was ended";
      return this.#finish("lost", {
        code: "CONNECTION_LOST",
        message: `${this.host}: the run ended without saying how: ${how}${said === "" ? "" : `; last said: ${said}`}`,
        ...(gone !== undefined && this.#record.endsWithLogin ? { hint: ENDS.hint } : {}),
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
    clearTimeout(this.#killing);
    const end: HostEnd = {
      type: "host:end",
      host: this.host,
      outcome,
      tally: this.#record.fullTally,
      elapsedMs: performance.now() - this.#startedAt,
      phases: this.#clock.phases,
      uploadedBytes: this.#link.uploadedBytes,
      ...(error === undefined ? {} : { error }),
    };
    this.#link.close();
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
}
