import type { PartOptions } from "../../controller/queued/host-queue.ts";
import type { QueuedHost } from "../../controller/queued/queued-host.ts";
import type { Place } from "../../controller/schedule/places.ts";
import { Ends } from "../../controller/session/ends.ts";
import type { HostSession } from "../../controller/session/session.ts";
import { type EndReason, hasEndedBefore, isAt, type PlayLimit } from "../../controller/session/state.ts";
import {
  type EarlierPart,
  foldPart,
  fullTally,
  hasFailed,
  NOTHING_EARLIER,
} from "../../controller/session/told.ts";
import type { SerializedError } from "../../core/errors.ts";
import type { ControllerEvent, HostEnd, Outcome, ReceivedEvent } from "../../core/events.ts";
import type { Command } from "../../core/protocol.ts";
import { type DownItem, type UpItem, writePart } from "../messages.ts";

/** Time for a worker to end a host after `kill`: the worker itself gives the host one second. */
const KILL_MS = 5_000;

/** Times that a job is brought again that has gone from the queue, before its host is given up. */
const MAX_LOST_JOBS = 3;

/** The exchange, as its sessions see it. Hosts are named by their index. */
export interface PartLink {
  /** Have the host's job brought to a worker. */
  enqueue(host: number): void;
  send(item: DownItem): void;
  /** Keep the whole result of a task for the next controller. */
  keep(host: number, task: number, whole: string | undefined): void;
  /** Note who has the host. */
  hold(host: number, holder: Holder | undefined): void;
}

/** The worker that has a host. */
export interface Holder {
  readonly token: string;
  /** The worker's process. */
  readonly session: string;
}

/** Most hosts have no worker that waits for them: they share this. */
const NOBODY: readonly Holder[] = [];
const NOTHING_SAID: readonly Command[] = [];

/** An item of a worker that has the host. */
export type PartItem = Extract<UpItem, { readonly type: "event" | "question" | "keep" | "end" }>;

/** The controller's side of a host's part that a worker carries out. */
export class RemoteSession implements HostSession {
  readonly host: string;
  readonly #index: number;
  readonly #options: PartOptions;
  readonly #link: PartLink;
  readonly #plays: readonly number[];
  readonly #ends = new Ends();
  /** Commands that the next worker tells the host again. */
  #said: readonly Command[] = NOTHING_SAID;
  /** Workers that wait for the host, in their order. */
  #offers: readonly Holder[] = NOBODY;
  readonly #startedAt = performance.now();
  #state: "waiting" | "running" | "ended" = "waiting";
  #part: EarlierPart;
  #holder: Holder | undefined;
  #ending: Extract<DownItem, { type: "grant" }>["ending"];
  #limit: { readonly limit: PlayLimit; readonly until: number } | undefined;
  /** When the worker that has the host fell silent, or was replaced. */
  #lostAt: number | undefined;
  #killTimer: NodeJS.Timeout | undefined;
  #lostJobs = 0;

  constructor(
    index: number,
    { name, job }: QueuedHost,
    options: PartOptions,
    link: PartLink,
    holder?: Holder,
  ) {
    this.host = name;
    this.#index = index;
    this.#options = options;
    this.#link = link;
    this.#plays = job.plays;
    this.#holder = holder;
    const { earlier = NOTHING_EARLIER } = options;
    this.#part = {
      ...earlier,
      known: earlier.known || holder !== undefined,
      play: earlier.play ?? job.plays[0],
    };
    for (const [play, failed] of earlier.endedPlays) this.#ends.playEnded(play, failed);
    if (earlier.end !== undefined) {
      this.#state = "ended";
      this.#ends.ended(earlier.end);
    }
  }

  get end(): Promise<HostEnd> {
    return this.#ends.end;
  }

  get isOver(): boolean {
    return this.#state === "ended";
  }

  /** The worker that has the host. */
  get holder(): Holder | undefined {
    return this.#holder;
  }

  /** False until a worker has taken the host. */
  get isTaken(): boolean {
    return this.#state !== "running" || this.#part.known || this.#offers.length > 0;
  }

  /** Return whether the host waits for a worker that its job is brought to. */
  needsJob(isSilent: (session: string) => boolean): boolean {
    if (this.#state !== "running") return false;
    const sessions = [
      ...this.#offers.map(({ session }) => session),
      ...(this.#holder === undefined ? [] : [this.#holder.session]),
    ];
    return sessions.every(isSilent);
  }

  /** The job of a host that waits for a worker is gone from the queue. */
  jobLost(): void {
    if (++this.#lostJobs <= MAX_LOST_JOBS) return this.#link.enqueue(this.#index);
    this.#conclude(this.#part.known ? "lost" : "unreachable", {
      code: "QUEUE_REFUSED",
      message: `the job of ${this.host} has gone from the queue ${this.#lostJobs} times, and no worker has asked for the host: workers say what they refuse`,
    });
  }

  isAt(play: number): boolean {
    return isAt(this.#standing, play);
  }

  hasEndedBefore(play: number): boolean {
    return hasEndedBefore(this.#standing, play);
  }

  get #standing(): Parameters<typeof isAt>[0] {
    const { known } = this.#part;
    return { state: { is: this.#state }, known: known || this.#holder !== undefined, told: this.#part };
  }

  playEnd(play: number): Promise<boolean> {
    return this.#ends.ofPlay(play);
  }

  begin(_place: Place): void {
    if (this.#state !== "waiting") return;
    this.#state = "running";
    this.#link.enqueue(this.#index);
  }

  goOn(after: number): void {
    const next = this.#plays.find((index) => index > after) ?? this.#part.play;
    this.#part = { ...this.#part, play: next };
    this.tell({ type: "continue", play: after });
  }

  limit(limit: PlayLimit): void {
    if (this.isOver || this.#part.endedPlays.has(limit.index)) return;
    this.#limit = { limit, until: performance.now() + limit.limitMs };
    this.#toHolder({ type: "limit", limit });
  }

  tell(command: Command): void {
    if (this.isOver) return;
    this.#said = [...this.#said, command];
    this.#toHolder({ type: "say", command });
  }

  cancel(why?: EndReason): void {
    if (this.isOver || this.#ending !== undefined) return;
    this.#ending = { how: "cancel", why };
    if (this.#holder !== undefined) this.#toHolder({ type: "cancel", why });
    else if (!this.#part.known) this.#conclude("cancelled");
  }

  kill(): void {
    if (this.isOver || this.#ending?.how === "kill") return;
    this.#ending = { how: "kill", why: this.#ending?.why };
    if (this.#holder === undefined) return this.#conclude("cancelled");
    this.#toHolder({ type: "kill" });
    this.#killTimer = setTimeout(() => this.#conclude("cancelled"), KILL_MS);
  }

  /** End the part without its worker: nobody knows what the host has done since. */
  lose(error: SerializedError): void {
    if (this.isOver) return;
    if (this.#holder === undefined && !this.#part.known) this.#ending ??= { how: "cancel" };
    this.#conclude(this.#ending !== undefined && !this.#part.known ? "cancelled" : "lost", error);
  }

  /**
   * Take the offer of a worker. The first that offers gets the host; the next one once the first has let go of it, or is
   * silent. Returns `again` for an offer after the end of a host that a worker has had.
   */
  offer(token: string, session: string, isSilent: (session: string) => boolean): "again" | undefined {
    if (this.isOver) {
      this.#link.send({ type: "over", host: this.#index, token });
      return this.#part.known ? "again" : undefined;
    }
    // An offer is repeated: the job of a host that has not begun here may be an earlier controller's.
    if (this.#state === "waiting") return undefined;
    const holder = this.#holder;
    if (holder?.token === token) {
      // The grant may have got lost with the controller that sent it. A worker heeds the first one alone.
      this.#sendGrant(token);
      return undefined;
    }
    if (this.#offers.every((each) => each.token !== token))
      this.#offers = [...this.#offers, { token, session }];
    if (holder === undefined || isSilent(holder.session)) this.#grant(token, session);
    return undefined;
  }

  /** A worker has let go of the host, or has taken its offer back. */
  back(token: string, isSilent: (session: string) => boolean): void {
    this.#takeBack(token);
    if (this.isOver || this.#holder?.token !== token) return;
    this.#noteLoss("its worker has handed it back");
    this.#hold(undefined);
    this.#grantNext(isSilent);
  }

  /**
   * Messages of the worker that has the host are missing. The next worker, perhaps the same, attaches to the host, which
   * tells all after the last event that is known here.
   */
  missed(isSilent: (session: string) => boolean): void {
    this.#noteLoss("messages of its worker are missing");
    this.#toHolder({ type: "release" });
    this.#hold(undefined);
    // The worker may have ended the host's part, and removed the job.
    this.#link.enqueue(this.#index);
    this.#grantNext(isSilent);
  }

  /** The worker that has the host is silent: the next one gets the host. */
  silent(worker: string, isSilent: (session: string) => boolean): void {
    if (this.isOver) return;
    this.#noteLoss(`worker ${worker} is silent`);
    this.#grantNext(isSilent);
  }

  /** The worker that has the host speaks again. */
  heard(): void {
    if (this.#lostAt === undefined) return;
    this.#options.emit({ type: "host:back", host: this.host, awayMs: performance.now() - this.#lostAt });
    this.#lostAt = undefined;
  }

  /** Take what the worker tells that has the host, and whole results of earlier ones. */
  take(item: PartItem): void {
    if (this.isOver) return;
    // A worker that had the host before has told the host that its result is kept here.
    if (item.type !== "keep" && item.token !== this.#holder?.token) return;
    switch (item.type) {
      case "event":
        return this.#event(item.event);
      case "question":
        return this.#options.ask(item.question);
      case "keep":
        this.#link.keep(this.#index, item.task, item.whole);
        return void this.#options.keepResult(item.task, item.whole);
      case "end":
        return this.#end(item.end);
    }
  }

  #event(told: ReceivedEvent | ControllerEvent): void {
    if (!("host" in told) || told.host !== this.host) return;
    const event = this.#located(told);
    this.#part = foldPart(this.#part, event);
    if (this.#lostAt !== undefined && event.type === "host:connected") this.heard();
    this.#options.emit(event);
    if (event.type !== "play:end") return;
    const { index, failed } = event;
    if (this.#limit?.limit.index === index) this.#limit = undefined;
    this.#ends.playEnded(index, failed || this.#ending?.why?.outcome === "failed");
  }

  /** An event with its errors located in the playbook's source. */
  #located(event: ReceivedEvent | ControllerEvent): Extract<typeof event, { readonly host: string }> {
    const { locate } = this.#options;
    if (event.type === "task:end" && event.result.error !== undefined)
      return { ...event, result: { ...event.result, error: locate(event.result.error) } };
    if (event.type === "bye" && event.error !== undefined) return { ...event, error: locate(event.error) };
    return event as Extract<typeof event, { readonly host: string }>;
  }

  #end(end: HostEnd): void {
    this.#part = { ...this.#part, end };
    this.#state = "ended";
    clearTimeout(this.#killTimer);
    for (const { token } of this.#offers) this.#link.send({ type: "over", host: this.#index, token });
    this.#offers = NOBODY;
    this.#said = NOTHING_SAID;
    this.#options.emit(end);
    this.#ends.ended(end);
  }

  /** End the part here. */
  #conclude(wished: Outcome, error?: SerializedError): void {
    if (this.isOver) return;
    const why = wished === "cancelled" && !hasFailed(this.#part) ? this.#ending?.why : undefined;
    const reason = why?.error ?? error;
    this.#end({
      type: "host:end",
      host: this.host,
      outcome: why?.outcome ?? wished,
      tally: fullTally(this.#part),
      elapsedMs: performance.now() - this.#startedAt,
      phases: {},
      uploadedBytes: this.#part.uploadedBytes,
      ...(reason === undefined ? {} : { error: reason }),
    });
  }

  #takeBack(token: string): void {
    const left = this.#offers.filter((each) => each.token !== token);
    this.#offers = left.length === 0 ? NOBODY : left;
  }

  #grantNext(isSilent: (session: string) => boolean): void {
    for (const { token, session } of this.#offers) if (!isSilent(session)) return this.#grant(token, session);
  }

  #grant(token: string, session: string): void {
    const before = this.#holder;
    if (before !== undefined) this.#link.send({ type: "release", host: this.#index, token: before.token });
    this.#takeBack(token);
    this.#hold({ token, session });
    this.#sendGrant(token);
  }

  #sendGrant(token: string): void {
    const { limit, until = 0 } = this.#limit ?? {};
    const leftMs = Math.max(0, until - performance.now());
    this.#link.send({
      type: "grant",
      host: this.#index,
      token,
      earlier: writePart(this.#part),
      said: this.#said,
      ending: this.#ending,
      limit: limit === undefined ? undefined : { ...limit, limitMs: leftMs },
    });
    // The host may have its job from here on.
    this.#part = { ...this.#part, known: true };
  }

  #hold(holder: Holder | undefined): void {
    this.#holder = holder;
    this.#link.hold(this.#index, holder);
  }

  #noteLoss(reason: string): void {
    if (this.#lostAt !== undefined) return;
    this.#lostAt = performance.now();
    this.#options.emit({ type: "host:lost", host: this.host, reason });
  }

  #toHolder(item: WithoutPart<DownItem>): void {
    const { token } = this.#holder ?? {};
    if (token !== undefined) this.#link.send({ ...item, host: this.#index, token } as DownItem);
  }
}

type WithoutPart<Item> = Item extends unknown ? Omit<Item, "host" | "token"> : never;
