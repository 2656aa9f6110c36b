import type { Event } from "../../core/events.ts";
import { formatElapsed } from "../rows/amounts.ts";
import { batchText, stopText } from "../rows/schedule-text.ts";

/** Something worth knowing that is no task's result; told once for all hosts that said it. */
export interface Note {
  readonly kind: "warning" | "connection" | "schedule" | "cancelled";
  readonly text: string;
  readonly hosts: readonly string[];
  /** When it was first said; milliseconds since the run's first event. */
  readonly atMs: number;
}

/** Folds events into notes. */
export interface NotesFold {
  add(event: Event): void;
  notes(): readonly Note[];
}

/** Starts a fold. */
export function foldNotes(): NotesFold {
  const notes = new Map<string, Note & { readonly hosts: string[] }>();
  let firstMs: number | undefined;
  return {
    add(event) {
      firstMs ??= event.time;
      const said = noteOf(event);
      if (said === undefined) return;
      const key = `${said.kind} ${said.text}`;
      let note = notes.get(key);
      if (note === undefined) {
        note = { ...said, hosts: [], atMs: event.time - firstMs };
        notes.set(key, note);
      }
      if ("host" in event && !note.hosts.includes(event.host)) note.hosts.push(event.host);
    },
    notes: () => [...notes.values()],
  };
}

function noteOf(event: Event): Pick<Note, "kind" | "text"> | undefined {
  switch (event.type) {
    case "log":
      return event.level === "warn" ? { kind: "warning", text: event.text } : undefined;
    case "host:lost":
      return { kind: "connection", text: `connection lost: ${event.reason}` };
    case "host:back":
      return { kind: "connection", text: `connected again after ${formatElapsed(event.awayMs)}` };
    case "restart":
      return { kind: "connection", text: "restarted, as a task asked" };
    case "play:batch":
      return { kind: "schedule", text: batchText(event) };
    case "play:stop":
      return { kind: "schedule", text: stopText(event) };
    case "run:cancel":
      return {
        kind: "cancelled",
        text: event.how === "clean" ? "somebody asked to stop cleanly" : "somebody asked to stop at once",
      };
    default:
      return undefined;
  }
}
