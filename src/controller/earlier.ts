import type { Event, HostEnd } from "../core/events.ts";
import { countState, EMPTY_TALLY, type Tally } from "../core/result.ts";

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
  /** Indexes of the plays the host has ended. */
  readonly endedPlays: ReadonlySet<number>;
  readonly uploadedBytes: number;
}

/** Takes a run's log apart by host. */
export function readEarlier(events: readonly Event[]): ReadonlyMap<string, EarlierPart> {
  const parts = new Map<
    string,
    { -readonly [K in keyof EarlierPart]: EarlierPart[K] } & { endedPlays: Set<number> }
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
        endedPlays: new Set(),
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
      case "host:upload":
        part.uploadedBytes = event.bytes;
        break;
      case "play:start":
      case "play:plan":
        part.total = event.total;
        break;
      case "play:end":
        part.endedPlays.add(event.index);
        break;
      case "task:end":
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
