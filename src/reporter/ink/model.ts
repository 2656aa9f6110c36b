import type { Event } from "../../core/events.ts";
import { addTallies, type Tally } from "../../core/result.ts";
import { foldHost, type HostState, newHost } from "../host-state.ts";
import type { Symbols } from "../rows/wording.ts";
import { createHostLog, createLogRows, type HostLog, type RunKind } from "./log.ts";

/** A host as the UI shows it. */
export interface HostView extends HostState {
  /** The place in the run's list of hosts. */
  readonly index: number;
  /** Grows in place. */
  readonly log: HostLog;
}

/** The whole run as the UI shows it. */
export interface RunView {
  readonly kind: RunKind;
  readonly playbook: string;
  readonly check: boolean;
  readonly startedAt: number | undefined;
  readonly hosts: readonly HostView[];
  readonly cancelling: "clean" | "now" | undefined;
  readonly ended: boolean;
  /** Milliseconds since the epoch; undefined while the run goes on. */
  readonly endedAt: number | undefined;
}

/** Events folded into what the UI shows; no clock, no I/O. */
export interface RunModel {
  apply(event: Event): void;
  readonly view: RunView;
  /** Raised by every event. */
  readonly version: number;
}

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/** Start a fold with no hosts. */
export function createRunModel(symbols: Symbols, kind: RunKind = "run"): RunModel {
  const hosts: HostView[] = [];
  const known = new Map<
    string,
    { readonly index: number; readonly logRows: ReturnType<typeof createLogRows> }
  >();
  const view: Writable<RunView> = {
    kind,
    playbook: "",
    check: false,
    startedAt: undefined,
    hosts,
    cancelling: undefined,
    ended: false,
    endedAt: undefined,
  };
  let version = 0;
  const addHost = (name: string) => {
    const added = { index: hosts.length, logRows: createLogRows(symbols, kind) };
    known.set(name, added);
    hosts.push({ ...newHost(name), index: added.index, log: createHostLog() });
    return added;
  };
  return {
    view,
    get version() {
      return version;
    },
    apply(event) {
      version++;
      if ("host" in event) {
        const { index, logRows } = known.get(event.host) ?? addHost(event.host);
        const host = hosts[index]!;
        host.log.add(logRows(event));
        hosts[index] = foldHost(host, event);
        return;
      }
      switch (event.type) {
        case "run:start":
          view.playbook = event.playbook;
          view.check = event.check;
          view.startedAt = event.time;
          for (const name of event.hosts) if (!known.has(name)) addHost(name);
          return;
        case "run:cancel":
          view.cancelling = event.how;
          return;
        case "run:end":
          view.ended = true;
          view.endedAt = event.time;
          return;
        case "run:build":
          return;
      }
    },
  };
}

/** The tally of all hosts together. */
export function fleetTally(view: RunView): Tally {
  return addTallies(view.hosts.map(({ tally }) => tally));
}
