import type { Event, HostEnd } from "../../core/events.ts";
import { countState, EMPTY_TALLY, type Tally } from "../../core/result.ts";

/** What an earlier controller saw of a host, before it was ended. */
export interface EarlierPart {
  /** Set when the host's part was over. */
  readonly end: HostEnd | undefined;
  /** Whether the host may have got its job. */
  readonly known: boolean;
  /** Sequence number of the last event of the host's own stream. */
  readonly lastSequence: number;
  readonly tally: Tally;
  readonly total: number;
  readonly failed: boolean;
  /** Index of the play the host had begun last. */
  readonly play: number | undefined;
  /** By index, of the plays the host has ended: whether it failed there. */
  readonly endedPlays: ReadonlyMap<number, boolean>;
  readonly uploadedBytes: number;
  /** Undefined before it was started. */
  readonly method?: "bundle" | "direct" | undefined;
  /** The restart of the host that a task had asked for, and that was not over. */
  readonly restart?: PendingRestart | undefined;
}

/** A restart of a host that a task asked for. */
export interface PendingRestart {
  readonly task: number;
  readonly timeoutMs: number;
}

/** Takes a run's log apart by host. */
export function readEarlier(events: readonly Event[]): ReadonlyMap<string, EarlierPart> {
  const parts = new Map<
    string,
    { -readonly [K in keyof EarlierPart]: EarlierPart[K] } & { endedPlays: Map<number, boolean> }
  >();
  for (const event of events) {
    if (!("host" in event)) continue;
    let part = parts.get(event.host);
    if (part === undefined) {
      part = {
        end: undefined,
        known: false,
        lastSequence: 0,
        tally: EMPTY_TALLY,
        total: 0,
        failed: false,
        play: undefined,
        endedPlays: new Map(),
        uploadedBytes: 0,
      };
      parts.set(event.host, part);
    }
    if ("hostSeq" in event && event.hostSeq !== undefined) part.lastSequence = event.hostSeq;
    switch (event.type) {
      case "host:connected":
        // What followed may not have been written down.
        part.known = true;
        break;
      case "host:start":
        part.method = event.method;
        break;
      case "host:upload":
        part.uploadedBytes = event.bytes;
        break;
      case "play:start":
        part.play = event.index;
        part.total = event.total;
        break;
      case "play:plan":
        part.total = event.total;
        break;
      case "play:end":
        part.endedPlays.set(event.index, event.failed);
        break;
      case "restart":
        part.restart = event;
        break;
      case "task:end":
        if (part.restart?.task === event.task) part.restart = undefined;
        part.tally = countState(part.tally, event.result.state);
        if (event.result.state === "failed" && event.result.ignored !== true) part.failed = true;
        break;
      case "host:end":
        part.end = event;
        break;
      default:
        break;
    }
  }
  return parts;
}
