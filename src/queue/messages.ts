import type { WorkerOptions } from "../controller/queued/host-queue.ts";
import type { LeftSecret } from "../controller/queued/left-secrets.ts";
import type { WorkerWay } from "../controller/queued/queued-host.ts";
import type { EndReason, PlayLimit } from "../controller/session/state.ts";
import type { EarlierPart } from "../controller/session/told.ts";
import { VolleyError } from "../core/errors.ts";
import type { ControllerEvent, Event, HostEnd, ReceivedEvent } from "../core/events.ts";
import type { Command, Job, JobSession, Question } from "../core/protocol.ts";
import { encodeLine } from "../core/protocol.ts";
import type { Seal } from "./seal.ts";

// The messages between controller and workers. All are JSON, sealed; hosts are named by their index in the run.

/** The version of the messages, raised whenever their meaning changes. Both sides refuse another version. */
export const QUEUE_PROTOCOL = 1;

/** Stands in the place of a label for a host that no worker takes. */
export const NO_LABEL = "";

/** A run as its workers, watchers and the next controller need to know it. */
export interface QueuedRun {
  readonly protocol: number;
  readonly run: string;
  readonly playbook: string;
  readonly startedAt: string;
  /** Names, by index. */
  readonly hosts: readonly string[];
  /** Labels, by index; {@link NO_LABEL} for a host that the controller works on itself. */
  readonly labels: readonly string[];
  /** The plays' schedules, as JSON can hold them. */
  readonly plays: readonly QueuedPlay[];
  readonly bundle: { readonly id: string; readonly bytes: number; readonly reused: boolean };
  /** The place of the bundle; undefined: the queue's own server. */
  readonly store?: string | undefined;
  readonly options: WorkerOptions;
  readonly check: boolean;
  readonly seed: string;
  readonly limits: {
    readonly concurrency: number;
    readonly playMs?: number | undefined;
    readonly graceMs: number;
    readonly startMs: number;
    readonly returnMs: number;
  };
  /** The parts of jobs that all hosts have alike. */
  readonly common: Readonly<Record<string, unknown>>;
  /** The options that a controller records. */
  readonly recorded: Readonly<Record<string, unknown>>;
}

/** A play of a run in a queue. */
export interface QueuedPlay {
  readonly index: number;
  /** The keys of a play that a schedule heeds. */
  readonly play: Readonly<Record<string, unknown>> & { readonly name: string; readonly hosts: string };
  /** The hosts, by index. */
  readonly hosts: readonly number[];
}

/** The work of one host. */
export interface QueuedPart {
  readonly way: WorkerWay;
  readonly job: Job & { readonly session: JobSession };
  /** The secrets that the worker reads. */
  readonly secrets: readonly LeftSecret[];
  /** Indexes of the plays after which the host waits for the controller. */
  readonly waits: readonly number[];
  /** Milliseconds to try a host again that is not there yet. */
  readonly waitMs: number;
}

/** A message of a worker. */
export interface UpMessage {
  /** The worker's link to the run, at random: a worker that comes back to a run has another one. */
  readonly session: string;
  /** The worker's name. */
  readonly worker: string;
  /** Counted from 1 within the session and the run. */
  readonly number: number;
  readonly items: readonly UpItem[];
}

/** The part of a host that a worker carries out, by the token that the worker chose and the controller granted. */
interface OfPart {
  readonly host: number;
  readonly token: string;
}

export type UpItem =
  /** A worker has got the host's job, and begins once the controller grants it. Repeated until there is an answer. */
  | ({ readonly type: "offer" } & OfPart)
  | ({ readonly type: "event"; readonly event: ReceivedEvent | ControllerEvent } & OfPart)
  | ({ readonly type: "question"; readonly question: Question } & OfPart)
  /** The whole result of a task, for other hosts. */
  | ({ readonly type: "keep"; readonly task: number; readonly whole?: string | undefined } & OfPart)
  | ({ readonly type: "end"; readonly end: HostEnd } & OfPart)
  /** The worker has let go of the host, or takes its offer back. */
  | ({ readonly type: "back" } & OfPart)
  /** The worker has refused something in the store that is not the controller's. */
  | { readonly type: "refused"; readonly text: string };

/** A message of the controller. */
export interface DownMessage {
  /** Rises from message to message, whichever controller sends it. */
  readonly number: number;
  /** The number of this controller's message before; 0 for its first. */
  readonly after: number;
  /** The number of the last batch of the log. */
  readonly logged: number;
  /** None: a sign of life. */
  readonly items: readonly DownItem[];
}

export type DownItem =
  /** Carry the host's part out, or go on with it. */
  | ({
      readonly type: "grant";
      readonly earlier: WrittenPart;
      /** Commands that the host is to be told again. */
      readonly said: readonly Command[];
      readonly ending?: { readonly how: "cancel" | "kill"; readonly why?: EndReason | undefined } | undefined;
      readonly limit?: PlayLimit | undefined;
    } & OfPart)
  | ({ readonly type: "say"; readonly command: Command } & OfPart)
  | ({ readonly type: "limit"; readonly limit: PlayLimit } & OfPart)
  | ({ readonly type: "cancel"; readonly why?: EndReason | undefined } & OfPart)
  | ({ readonly type: "kill" } & OfPart)
  /** There is nothing to do for this offer: the host's part is over. */
  | ({ readonly type: "over" } & OfPart)
  /** Another worker has the host now. */
  | ({ readonly type: "release" } & OfPart);

/** A batch of a run's log, with all that the next controller needs to go on after it. */
export interface LogBatch {
  /** Counted from 1 within the log, whichever controller writes: a batch that was copied or deleted is found out. */
  readonly number: number;
  /** The last message of a worker that was taken in: its id in the stream. */
  readonly upTo: string;
  readonly events: readonly Event[];
  /** Hosts that changed hands: index, token and session; without these where nobody has the host. */
  readonly held: readonly (readonly [host: number, token?: string, session?: string])[];
  /** The last message of each session, as far as it has changed. */
  readonly seen: Readonly<Record<string, number>>;
}

/** A host's account as JSON. */
export interface WrittenPart extends Omit<EarlierPart, "failed" | "started" | "endedPlays"> {
  readonly failed: readonly number[];
  readonly started: readonly number[] | null;
  readonly endedPlays: readonly (readonly [number, boolean])[];
}

/** Write a host's account. */
export function writePart({ failed, started, endedPlays, ...rest }: EarlierPart): WrittenPart {
  return {
    ...rest,
    failed: [...failed],
    started: started === undefined ? null : [...started],
    endedPlays: [...endedPlays],
  };
}

/** Read a host's account. Tasks that are under way are known again once the host tells of them. */
export function readPart({ failed, started: _started, endedPlays, ...rest }: WrittenPart): EarlierPart {
  return {
    ...rest,
    end: rest.end,
    play: rest.play,
    restart: rest.restart,
    method: rest.method,
    failed: new Set(failed),
    started: undefined,
    endedPlays: new Map(endedPlays),
  };
}

/** The purposes that content is sealed for: content of one is refused as another. */
export const PURPOSES = {
  /** The content of BullMQ's jobs. */
  job: () => "job",
  run: (run: string) => `run ${run}`,
  part: (run: string, host: number) => `part ${run} ${host}`,
  up: (run: string) => `up ${run}`,
  down: (run: string) => `down ${run}`,
  log: (run: string) => `log ${run}`,
  result: (run: string, host: number, task: number) => `result ${run} ${host} ${task}`,
} as const;

/** Seal a value as JSON. */
export function sealValue(seal: Seal, purpose: string, value: unknown): Buffer {
  return seal.seal(purpose, Buffer.from(encodeLine(value)));
}

/** Characters of a message, unless one item alone has more. A sealed message is limited, and is held in memory whole. */
const MESSAGE_LENGTH = 4 * 1_024 * 1_024;

/** Take as many items off the beginning of a list as one message has room for, `most` at the most. Returns them as JSON. */
export function takeItems(items: unknown[], most: number): readonly string[] {
  const lines: string[] = [];
  let length = 0;
  for (const item of items) {
    const line = encodeLine(item).trimEnd();
    length += line.length;
    if (lines.length === most || (lines.length > 0 && length > MESSAGE_LENGTH)) break;
    lines.push(line);
  }
  items.splice(0, lines.length);
  return lines;
}

/** Seal a message whose list `name` is JSON already. `head`: the rest of the message, with one property at least. */
export function sealList(
  seal: Seal,
  purpose: string,
  head: object,
  name: string,
  lines: readonly string[],
): Buffer {
  return seal.seal(
    purpose,
    Buffer.from(`${JSON.stringify(head).slice(0, -1)},"${name}":[${lines.join(",")}]}`),
  );
}

/** Open a value that was sealed as JSON. Fails with `QUEUE_REFUSED`. */
export function openValue<T>(seal: Seal, purpose: string, sealed: Uint8Array): T {
  const text = seal.open(purpose, sealed).toString("utf8");
  try {
    return JSON.parse(text) as T;
  } catch (thrown) {
    throw new VolleyError("QUEUE_REFUSED", "a sealed message is no JSON", { cause: thrown });
  }
}
