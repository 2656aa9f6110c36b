import { randomBytes } from "node:crypto";
import { nodeSetup } from "../../controller/prepare/jobs.ts";
import { hostBecome } from "../../controller/prepare/reach.ts";
import type { Place } from "../../controller/schedule/places.ts";
import { openHostSession } from "../../controller/session/driver.ts";
import type { HeldSession } from "../../controller/session/session.ts";
import { fullTally } from "../../controller/session/told.ts";
import { isVolleyError, serializeError, VolleyError } from "../../core/errors.ts";
import type { ControllerEvent, HostEnd, ReceivedEvent } from "../../core/events.ts";
import type { Host } from "../../core/inventory.ts";
import { type Command, type Question, questionKey } from "../../core/protocol.ts";
import type { DirectPlaybook } from "../../direct/serve.ts";
import { createMask, maskEvent } from "../../vars/mask.ts";
import { type DownItem, readPart, type UpItem } from "../messages.ts";
import type { RunLink } from "./run-link.ts";

type Grant = Extract<DownItem, { readonly type: "grant" }>;

/** How a host's part ended on this worker. */
export type PartOutcome =
  /** The part is over, here or elsewhere: its job can be removed. */
  | { readonly is: "over"; readonly end?: HostEnd }
  /** Another worker is to take it. */
  | { readonly is: "back" };

/** Options of a part. */
export interface PartOptions {
  readonly link: RunLink;
  /** The host's index in the run. */
  readonly host: number;
  /** The part's place among the hosts at work on this worker. */
  readonly place: Place;
  /** The part is granted, and begins. */
  onBegin(): void;
  /** Events were received. */
  onEvent(): void;
  /** The part waits for the controller at a barrier, and lends its place. */
  onWait(): void;
  /** Too much waits for the queue: the host is left alone with what it has to tell. */
  onFull(): void;
}

/** A host's part of a run on this worker. */
export class WorkerPart {
  readonly #options: PartOptions;
  readonly #token = randomBytes(16).toString("hex");
  readonly #done: Promise<PartOutcome>;
  #resolve!: (outcome: PartOutcome) => void;
  #isGranted = false;
  #session: HeldSession | undefined;
  /** Orders that came before the session was there. */
  #early: DownItem[] = [];
  #waits: readonly number[] = [];
  /** Questions of the host without an answer. */
  readonly #questions = new Map<string, Question>();
  #isWaiting = false;
  /** The name of the task that was started last. */
  #taskName = "";
  /** True once the host is no longer this worker's: nothing more may be begun on it. */
  #isLeft = false;
  /** True once all was carried out: only the end is still to be told. */
  #hasEnded = false;

  constructor(options: PartOptions) {
    this.#options = options;
    this.#done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** Offer the host to the controller, and carry its part out once it is granted. Never rejects. */
  async carryOut(): Promise<PartOutcome> {
    const { link, host, place } = this.#options;
    link.listen(host, this.#token, {
      take: (item) => this.#take(item),
      offer: () => (this.#isGranted ? undefined : this.#offer()),
      over: () => {
        if (this.#hasEnded) return;
        link.outbox.send({ type: "back", host, token: this.#token });
        this.#leave({ is: "over" });
      },
      missed: () => {
        if (this.#isGranted && !this.#hasEnded && !this.#isLeft) void this.handBack();
      },
      replaced: () => {
        for (const question of this.#questions.values()) this.#ask(question);
      },
    });
    link.outbox.send(this.#offer());
    const outcome = await this.#done;
    link.leave(host, this.#token);
    place.leave();
    return outcome;
  }

  /** The run's name. */
  get run(): string {
    return this.#options.link.run;
  }

  /** True once the controller has granted the host, and until the part is over. */
  get isGranted(): boolean {
    return this.#isGranted;
  }

  /** True while the host waits at a barrier, and its place is lent. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Let another worker have the host, which goes on by itself. */
  async handBack(): Promise<void> {
    const { link, host } = this.#options;
    if (!this.#hasEnded) {
      this.#isLeft = true;
      this.#session?.letGo();
      link.outbox.send({ type: "back", host, token: this.#token });
    }
    await link.sent();
    this.#resolve({ is: "back" });
  }

  /** Close the connection to the host, and begin nothing on it. */
  #leave(outcome: PartOutcome): void {
    this.#isLeft = true;
    this.#session?.letGo();
    this.#resolve(outcome);
  }

  #offer(): UpItem {
    return { type: "offer", host: this.#options.host, token: this.#token };
  }

  #take(item: DownItem): void {
    switch (item.type) {
      case "grant":
        if (this.#isGranted || this.#isLeft) return;
        this.#isGranted = true;
        this.#begin(item).catch((thrown: unknown) => this.#fail(item, thrown));
        return;
      case "over":
        return this.#leave({ is: "over" });
      case "release":
        // Another worker has the job, or the controller wants the host to be attached to anew.
        return this.#leave({ is: "back" });
      default:
        if (this.#isLeft) return;
        if (this.#session === undefined) this.#early.push(item);
        else this.#order(this.#session, item);
    }
  }

  async #begin(grant: Grant): Promise<void> {
    const { link, host, place, onBegin } = this.#options;
    onBegin();
    const [{ way, job, waits, waitMs, own: left }, bytes] = await Promise.all([
      link.part(host),
      link.bundle(),
    ]);
    this.#waits = waits;
    const { options, record, runtimes } = link;
    const known = way.host as Host;
    const { endpoint, transport } = await link.ways.reach(known);
    // Another worker may have been given the host meanwhile.
    if (this.#isLeft) return;
    const become = hostBecome(known, endpoint.user, way.plays, options);
    const mask = createMask(job.secrets ?? []);
    const own = createMask(left);
    const token = this.#token;
    const session = openHostSession({
      ...{ endpoint, transport, mask, waitMs },
      become: become.start,
      node: nodeSetup(known, options, runtimes),
      job: { ...job, become: become.job },
      bundle: { id: record.bundle.id, bytes, reused: record.bundle.reused },
      emit: (event) => this.#tell(mask === null ? event : maskEvent(mask, event)),
      ask: (question) => this.#ask(question),
      keepResult: (task, whole) => {
        // Other hosts would not mask the secrets that the controller does not know.
        const isOwn = own !== null && whole !== undefined && own.text(whole) !== whole;
        if (isOwn) this.#warnOfOwn(job.host);
        link.outbox.send({ type: "keep", host, token, task, whole: isOwn ? undefined : whole });
        return link.outbox.sent();
      },
      // The controller knows the sources.
      locate: (error) => error,
      startTimeoutMs: record.limits.startMs,
      returnTimeoutMs: record.limits.returnMs,
      mayLaunch: true,
      via: "bundle",
      readRuntime: link.archives,
      playbook: NO_PLAYBOOK,
      earlier: readPart(grant.earlier),
    });
    this.#session = session;
    await place.take();
    if (this.#isLeft) return place.leave();
    for (const command of grant.said) tell(session, command);
    if (grant.limit !== undefined) session.limit(grant.limit);
    session.begin(place);
    if (grant.ending?.how === "kill") session.kill();
    else if (grant.ending !== undefined) session.cancel(grant.ending.why);
    for (const item of this.#early.splice(0)) this.#order(session, item);
    const ended = await session.end;
    const end = ended.outcome === "unreachable" ? fromHere(ended, link.worker) : ended;
    this.#hasEnded = true;
    link.outbox.send({ type: "end", host, token, end });
    await link.sent();
    this.#resolve({ is: "over", end });
  }

  #order(session: HeldSession, item: DownItem): void {
    switch (item.type) {
      case "say":
        return void this.#say(session, item);
      case "limit":
        return session.limit(item.limit);
      case "cancel":
        return session.cancel(item.why);
      case "kill":
        return session.kill();
      default:
        return;
    }
  }

  /** Tell the host to go on only once it has a place again. */
  async #say(session: HeldSession, { command }: Extract<DownItem, { type: "say" }>): Promise<void> {
    if (command.type === "continue" && this.#isWaiting) {
      this.#isWaiting = false;
      await this.#options.place.take();
      if (this.#isLeft) return this.#options.place.leave();
    }
    if (command.type === "answer") this.#questions.delete(command.question);
    tell(session, command);
  }

  #ask(question: Question): void {
    const { link, host } = this.#options;
    if (this.#isLeft || this.#hasEnded) return;
    this.#questions.set(questionKey(question), question);
    link.outbox.send({ type: "question", host, token: this.#token, question });
  }

  #tell(event: ReceivedEvent | ControllerEvent): void {
    const { link, host, place, onEvent, onWait, onFull } = this.#options;
    onEvent();
    if (event.type === "task:start") this.#taskName = event.name;
    // The end is sent with all that the session knows.
    if (event.type === "host:end" || this.#isLeft) return;
    link.outbox.send({ type: "event", host, token: this.#token, event });
    // The host's journal has more room than this process: a worker hears it again once the queue is back.
    if (link.isFull) {
      onFull();
      link.outbox.drop(this.#token);
      return void this.handBack();
    }
    if (event.type !== "play:end" || !this.#waits.includes(event.index)) return;
    this.#isWaiting = true;
    place.leave();
    onWait();
  }

  #warnOfOwn(host: string): void {
    const text = `the result of the task "${this.#taskName}" has a secret that only workers read: other hosts get the result without its data`;
    this.#tell({ type: "log", host, level: "warn", text });
  }

  /** The part could not begin: the way to the host, or the bundle, is at fault. */
  #fail({ earlier }: Grant, thrown: unknown): void {
    if (this.#isLeft) return;
    this.#hasEnded = true;
    const { link, host } = this.#options;
    const error = isVolleyError(thrown)
      ? thrown
      : new VolleyError("INTERNAL", `the worker failed: ${String(thrown)}`, { cause: thrown });
    const end: HostEnd = {
      type: "host:end",
      host: link.record.hosts[host] ?? "",
      // A worker before this one may have begun.
      outcome: earlier.known ? "lost" : "failed",
      tally: fullTally(readPart(earlier)),
      elapsedMs: 0,
      phases: {},
      uploadedBytes: 0,
      error: serializeError(error),
    };
    const told = fromHere(end, link.worker);
    link.outbox.send({ type: "end", host, token: this.#token, end: told });
    void link.sent().then(() => this.#resolve({ is: "over", end: told }));
  }
}

/** Name the worker whose ssh_config, keys, known_hosts and secrets are at fault: people would look on the controller. */
function fromHere(end: HostEnd, worker: string): HostEnd {
  const { error } = end;
  if (error === undefined) return end;
  const hint = `on worker ${worker}${error.hint === undefined ? "" : `: ${error.hint}`}`;
  return { ...end, error: { ...error, hint } };
}

function tell(session: HeldSession, command: Command): void {
  if (command.type === "continue") session.goOn(command.play);
  else session.tell(command);
}

/** A worker carries plays out by bundles alone. */
const NO_PLAYBOOK: DirectPlaybook = {
  name: "",
  assets: { file: () => null, tree: () => null },
  evaluateAnew: () => {
    throw new VolleyError("INTERNAL", "a worker carries plays out by bundles alone");
  },
};
