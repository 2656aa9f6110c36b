import { VolleyError } from "../../core/errors.ts";
import type { WireEvent } from "../../core/protocol.ts";
import { countState, EMPTY_TALLY, type Tally } from "../../core/result.ts";
import { printable } from "../../core/text.ts";
import type { EarlierPart, PendingRestart } from "./earlier.ts";
import type { PhaseClock } from "./phase-clock.ts";

/** Tasks of one host that may fail without being ignored; there is one a play, as the first ends it. */
const MAX_FAILED = 1_000;

type EventOf<Type extends WireEvent["type"]> = Extract<WireEvent, { type: Type }>;

/** What the line to a host belongs to. */
export interface HostLinkContext {
  readonly record: HostRecord;
  readonly clock: PhaseClock;
  /** Called with every event, in order, each once. */
  take(event: WireEvent): void;
}

/** What a host has told of its part of a run, over all connections to it. */
export class HostRecord {
  readonly #plays: ReadonlySet<number>;
  /** Tasks that have started and not ended. */
  readonly #started = new Set<number>();
  /** True until the first task is heard of: one may have been started under the eyes of an earlier controller. */
  #resumesAmid = false;
  #failed = 0;
  /** The last event of the run; 0 before the first. */
  lastSequence = 0;
  tally: Tally = EMPTY_TALLY;
  /** How many tasks are known of. */
  total = 0;
  bye: EventOf<"bye"> | undefined;
  gone: EventOf<"gone"> | undefined;
  restart: PendingRestart | undefined;
  /** Whether the host ends what a login leaves behind, the run too. */
  endsWithLogin = false;

  /** `plays`: the indexes of those the host takes part in. */
  constructor(plays: readonly number[], earlier?: EarlierPart) {
    this.#plays = new Set(plays);
    if (earlier === undefined) return;
    this.#resumesAmid = true;
    this.lastSequence = earlier.lastSequence;
    this.tally = earlier.tally;
    this.total = earlier.total;
    this.#failed = earlier.failed ? 1 : 0;
    this.restart = earlier.restart;
  }

  /** Whether a task failed and was not ignored. */
  get hasFailed(): boolean {
    return this.#failed > 0;
  }

  /**
   * The tally, with what is left counted where the host has not done so itself. A task that was at work when the host's
   * part broke off has been executed, and did not end well.
   */
  get fullTally(): Tally {
    if (this.bye !== undefined) return this.tally;
    const tally = { ...this.tally, failed: this.tally.failed + this.#started.size };
    const { unchanged, changed, skipped, failed } = tally;
    return { ...tally, notExecuted: Math.max(0, this.total - unchanged - changed - skipped - failed) };
  }

  /** Takes an event in. Throws `PROTOCOL_INVALID` for one that cannot be. */
  take(event: WireEvent): void {
    switch (event.type) {
      case "hello":
        // Who answers for it later may have been started otherwise.
        if (event.ends === true) this.endsWithLogin = true;
        return;
      case "gone":
        this.gone = event;
        return;
      case "restart":
        this.restart = event;
        break;
      case "play:start":
        this.#checkPlay(event);
        this.total = event.total;
        break;
      case "play:plan":
        this.total = event.total;
        break;
      case "play:end":
        this.#checkPlay(event);
        break;
      case "task:start":
        this.#resumesAmid = false;
        this.#started.add(event.task);
        break;
      case "task:end":
        this.#endTask(event);
        break;
      case "bye":
        this.bye = event;
        this.tally = event.tally;
        break;
      default:
        break;
    }
    // One that is begun anew says a few words of its own first.
    this.lastSequence = Math.max(this.lastSequence, event.seq);
  }

  #endTask({ task, name, result: { state, ignored } }: EventOf<"task:end">): void {
    if (!this.#started.delete(task) && !this.#resumesAmid)
      throw invalid(`the end of task ${task}, "${printable(name, 100)}", which has not started`);
    this.#resumesAmid = false;
    if (this.restart?.task === task) this.restart = undefined;
    this.tally = countState(this.tally, state);
    if (state !== "failed" || ignored === true) return;
    if (++this.#failed > MAX_FAILED) throw invalid(`more than ${MAX_FAILED} failures`);
  }

  #checkPlay({ type, index }: EventOf<"play:start" | "play:end">): void {
    if (!this.#plays.has(index)) throw invalid(`${type} of play ${index}, which it has no part in`);
  }
}

function invalid(what: string): VolleyError {
  return new VolleyError("PROTOCOL_INVALID", `the host sent ${what}`);
}
