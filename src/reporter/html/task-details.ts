import { createHash } from "node:crypto";
import type { Event } from "../../core/events.ts";
import type { Diff, ItemResult, Result } from "../../core/result.ts";
import { taskTitle } from "../rows/wording.ts";

/** What a task that failed left behind on one host. */
export interface FailureDetails {
  /** The end of what it printed. */
  readonly output: string;
  /** How much came before that, in characters. */
  readonly cutCharacters: number;
  readonly diff: readonly Diff[];
  readonly items: readonly ItemResult[];
  readonly elapsedMs: number;
  readonly ignored: boolean;
}

/** What one task changed, in the same way on these hosts. */
export interface ChangeGroup {
  readonly title: string;
  readonly action: string;
  readonly play: string;
  readonly hosts: readonly string[];
  readonly diff: readonly Diff[];
}

/** Folds events into what is told of tasks beyond counts and times. */
export interface TaskDetailsFold {
  add(event: Event): void;
  failureOf(host: string, title: string): FailureDetails | undefined;
  /** Changes that carry a diff, in the order they were first made. */
  changes(): readonly ChangeGroup[];
}

const MAX_OUTPUT_CHARACTERS = 16_384;
/** A playbook that writes a different file on each of many hosts has as many diffs: beyond these they are not kept. */
const MAX_CHANGE_GROUPS = 1_000;

interface Output {
  text: string;
  cutCharacters: number;
}

/** Starts a fold. */
export function foldTaskDetails(): TaskDetailsFold {
  const outputs = new Map<string, Output>();
  const failures = new Map<string, FailureDetails>();
  const changes = new Map<string, ChangeGroup & { readonly hosts: string[] }>();

  const addChange = (event: Extract<Event, { type: "task:end" }>, diff: readonly Diff[]): void => {
    const { host, play, action } = event;
    const title = taskTitle(event);
    const key = createHash("sha256")
      .update(JSON.stringify([play, title, action, diff]))
      .digest("base64");
    const group = changes.get(key);
    if (group !== undefined) group.hosts.push(host);
    else if (changes.size < MAX_CHANGE_GROUPS) changes.set(key, { title, action, play, hosts: [host], diff });
  };

  return {
    add(event) {
      switch (event.type) {
        case "task:start":
          outputs.delete(event.host);
          return;
        case "task:output": {
          const output = outputs.get(event.host) ?? { text: "", cutCharacters: 0 };
          const text = output.text + event.text;
          const cut = Math.max(0, text.length - MAX_OUTPUT_CHARACTERS);
          outputs.set(event.host, { text: text.slice(cut), cutCharacters: output.cutCharacters + cut });
          return;
        }
        case "task:end": {
          const { host, result, elapsedMs } = event;
          if (result.state === "failed") {
            const { text = "", cutCharacters = 0 } = outputs.get(host) ?? {};
            failures.set(`${host}\0${taskTitle(event)}`, {
              output: text === "" ? outputOf(result) : text,
              cutCharacters,
              diff: result.diff ?? [],
              items: result.items ?? [],
              elapsedMs,
              ignored: result.ignored === true,
            });
          } else if (result.state === "changed" && result.diff !== undefined && result.diff.length > 0) {
            addChange(event, result.diff);
          }
          outputs.delete(host);
          return;
        }
        default:
          return;
      }
    },
    failureOf: (host, title) => failures.get(`${host}\0${title}`),
    changes: () => [...changes.values()],
  };
}

/** What processes printed, where it came with the Result rather than live. */
function outputOf({ data }: Result): string {
  if (typeof data !== "object" || data === null) return "";
  const { stdout, stderr } = data as { readonly stdout?: unknown; readonly stderr?: unknown };
  return [stdout, stderr]
    .filter((text): text is string => typeof text === "string" && text !== "")
    .join("\n")
    .slice(-MAX_OUTPUT_CHARACTERS);
}
