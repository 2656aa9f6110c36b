import type { Become } from "./become.ts";
import type { TargetEvent } from "./events.ts";
import type { Vars } from "./json.ts";
import { writeJson } from "./json-text.ts";
import type { Result } from "./result.ts";

/** Raised whenever a line's meaning changes; another version is refused. */
export const PROTOCOL_VERSION = 1;

/** The longest line either side sends, in bytes; longer texts are cut before they are sent. */
export const MAX_LINE_BYTES = 4 << 20;

/** The longest result one host may tell others of, in bytes: `task:result`, and the answer made of it. */
export const MAX_RESULT_BYTES = 32 << 20;

/** What such a line begins with. */
export const RESULT_PREFIX = '{"type":"task:result"';

/** What one host is asked to do: the first line of its standard input. */
export interface Job {
  readonly protocol: number;
  readonly host: string;
  readonly groups: readonly string[];
  /** The host's own vars, merged. */
  readonly vars: Vars;
  /** Every group's hosts; absent where the playbook, its files and the vars say nothing of them. */
  readonly inventoryGroups?: Readonly<Record<string, readonly string[]>>;
  /** For each play that asked: the vars of other hosts. */
  readonly hostVars: Readonly<Record<string, Vars>>;
  /** Indexes of the plays this host takes part in. */
  readonly plays: readonly number[];
  /** Texts that must never be told: the secrets among the vars. */
  readonly secrets?: readonly string[];
  /** Where those of the vars are set that hold templates, for errors to say. */
  readonly sources?: Readonly<Record<string, { readonly file: string; readonly line?: number }>>;
  /** Whom to become, and how; absent where nothing is to be known of it. */
  readonly become?: JobBecome;
  /** What lets the run outlive its connection; absent where nobody is connected. */
  readonly session?: Session;
  readonly options: JobOptions;
}

/** Who carries out what on one host. */
export interface JobBecome {
  /** Who is logged in. */
  readonly login: string;
  /** By index, the users of plays that are not carried out as who the process is. */
  readonly users: Readonly<Record<number, string>>;
  /** How this process becomes another user; root needs no leave. */
  readonly way: Omit<Become, "user">;
}

/** How a run is known on its hosts. */
export interface Session {
  readonly run: string;
  /** Who started it, from where, for whoever finds the host at work: `ann@laptop`. */
  readonly controller: string;
  /** The playbook's directory on the controller: handlers that are left over are those of one project. */
  readonly project: string;
  /** An earlier run to go on with: what its journal says was done is not repeated. */
  readonly resume?: string;
  /** How long to wait for another run on the same host to end. */
  readonly lockWaitMs: number;
  /** Sequence number of the last event the controller has of this run: more than 1 when it is begun anew on the host. */
  readonly after?: number;
}

/** How a job is carried out. */
export interface JobOptions {
  readonly check: boolean;
  readonly diff: boolean;
  /** Only tasks with one of these tags, and those tagged `always`. Empty: all. */
  readonly tags: readonly string[];
  readonly skipTags: readonly string[];
  /** False when nobody will say `continue`: plays then follow each other at once. */
  readonly barriers: boolean;
}

/** What the controller says after the Job, one line each. */
export type Command =
  /** Every host has ended the play with this index: go on. */
  | { readonly type: "continue"; readonly play: number }
  /** The answer to `task:once` or `task:delegate`. */
  | ({
      readonly type: "answer";
      /** The task's number; for `task:delegate` with its item and attempt: `12:0:1`. */
      readonly question: string;
    } & Partial<Answer>)
  /** The `task:result` with this task's number has been taken in. */
  | { readonly type: "taken"; readonly task: number }
  /** Finish the action now running, then say bye. */
  | { readonly type: "cancel" }
  /** End the action now running too. */
  | { readonly type: "kill" };

/** What a task came to elsewhere. */
export interface Answer {
  /** As it may be told; absent: the task is to be done. */
  readonly result: Result;
  /** The same for code, neither masked nor cut, as `agent/whole-value.ts` writes it. */
  readonly whole?: string;
  /** True when `result` is not all of it, and no more is known. */
  readonly partial?: boolean;
  /** The other host's secrets in it, which are masked from here on. */
  readonly secrets?: readonly string[];
}

/** A target's event with its place in the stream. */
export type WireEvent = TargetEvent & { readonly seq: number; readonly time: number };

/** One line of the protocol. */
export function encodeLine(value: unknown): string {
  try {
    return `${JSON.stringify(value)}\n`;
  } catch (error) {
    if (!(error instanceof TypeError) || !error.message.includes("BigInt")) throw error;
    // A long integer in what an action tells: JSON has them, JSON.stringify has not.
    return `${writeJson(value, { separators: [",", ":"] })}\n`;
  }
}

/** The start of the first line of the protocol; anything before it is noise. */
export const HELLO_PREFIX = '{"type":"hello"';

/** What the controller is asked about an action that it is to perform. */
export function delegateQuestion(task: number, item: number, attempt: number): string {
  return `${task}:${item}:${attempt}`;
}

/** Whether a question is about this host alone, and not about what is done once for several. */
export function isOfOne(question: string): boolean {
  return question.includes(":");
}
