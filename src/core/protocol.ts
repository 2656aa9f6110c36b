import type { Become } from "./become.ts";
import type { AskedTask, DelegatedTask, TargetEvent } from "./events.ts";
import type { Vars } from "./json.ts";
import { writeJson } from "./json-text.ts";
import type { Result } from "./result.ts";

/** Raised whenever a line's meaning changes; another version is refused. */
export const PROTOCOL_VERSION = 1;

/** The longest line either side sends, in bytes; longer texts are cut before they are sent. */
export const MAX_LINE_BYTES = 4 << 20;

/** The longest line of a result that a host shares with others, in bytes, and of the answer made of it. */
export const MAX_SHARE_BYTES = 32 << 20;

/** The start of such a line. */
export const SHARE_PREFIX = '{"type":"share"';

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
  /** The answer to a question, by its {@link questionKey key}. */
  | ({ readonly type: "answer"; readonly question: string } & Partial<Answer>)
  /** The controller has the shared result of the task with this number. */
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

/** An event of a host with its place in the stream. */
export type WireEvent = TargetEvent & { readonly seq: number; readonly time: number };

/**
 * A question of a host that only the controller can answer. It is no event: it has no number and is in no journal. A
 * host asks the same question again, by the same key, when a controller comes back and after a restart.
 */
export type Question =
  /** Whether this host does a task that one host of its batch does. */
  | ({ readonly kind: "once" } & AskedTask)
  /** To perform a delegated action: the controller knows which, and learns only the names of task and item. */
  | ({ readonly kind: "delegate" } & DelegatedTask);

/** The line of a question. */
export interface QuestionLine {
  readonly type: "question";
  readonly question: Question;
}

/** The line of a whole result of a `runOnce` task, for the code of the other hosts. A host says it until it was `taken`. */
export interface ShareLine {
  readonly type: "share";
  readonly task: number;
  /** As `agent/whole-value.ts` writes it; absent for a result that is too long. */
  readonly whole?: string;
}

/** The name of a question in its answer: the task's number, and for a delegated action its item and attempt: `12:0:1`. */
export function questionKey(question: Question): string {
  return question.kind === "once"
    ? String(question.task)
    : `${question.task}:${question.item}:${question.attempt}`;
}

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
