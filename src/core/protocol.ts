import type { AskedTask, DelegatedTask, TargetEvent } from "./events.ts";
import type { Result } from "./result.ts";
import type { Become } from "./unix/users.ts";
import { writeJson } from "./values/value.ts";
import type { Vars } from "./values/vars.ts";
import type { VaultedValue } from "./values/vaulted.ts";

/** The version of the protocol, raised whenever a line's meaning changes. Both sides refuse another version. */
export const PROTOCOL_VERSION = 1;

/** The longest line either side sends, in bytes; longer texts are cut before they are sent. */
export const MAX_LINE_BYTES = 4 << 20;

/** The longest line of a result that a host shares with others, in bytes, and of the answer made of it. */
export const MAX_SHARE_BYTES = 32 << 20;

/** The start of a {@link ShareLine}. */
export const SHARE_PREFIX = '{"type":"share"';

/** The work of one host: the first line of its process's standard input. */
export interface Job {
  readonly protocol: number;
  readonly host: string;
  /** True for a host that is the controller's machine itself, reached without a connection. */
  readonly isLocal?: boolean;
  readonly groups: readonly string[];
  /** The host's own vars, merged. */
  readonly vars: Vars;
  /** Vars that win over all others, whoever sets those: `--extra-vars`. Their texts are templates. */
  readonly extraVars?: Vars;
  /** The vars that a person was asked for, by the index of the play. Their texts are templates. */
  readonly prompted?: Readonly<Record<number, Vars>>;
  /** Every group's hosts; absent where the playbook, its files and the vars do not mention groups. */
  readonly inventoryGroups?: Readonly<Record<string, readonly string[]>>;
  /** The vars of other hosts, for the plays that ask for them. */
  readonly hostVars: Readonly<Record<string, Vars>>;
  /** Indexes of the plays this host takes part in. */
  readonly plays: readonly number[];
  /** The secrets among the vars, which must be masked in all output. */
  readonly secrets?: readonly string[];
  /** The values of a playbook that are encrypted with Ansible Vault, in clear. */
  readonly vaulted?: readonly VaultedValue[];
  /** The places where vars with templates are set, for error messages. */
  readonly sources?: Readonly<Record<string, { readonly file: string; readonly line?: number }>>;
  /** The users to become, and the way to become them; absent in a run without a controller. */
  readonly become?: JobBecome;
  /** The parameters that let the run outlive its connection; absent without a connection. */
  readonly session?: JobSession;
  readonly options: JobOptions;
}

/** The users of a host's plays and tasks. */
export interface JobBecome {
  /** The login user. */
  readonly login: string;
  /** The user that `become: true` means. Default: root. */
  readonly standard?: string;
  /** The users of plays, by index; absent for a play that runs as the process's own user. */
  readonly users: Readonly<Record<number, string>>;
  /** The way for this process to become another user; root needs no permission. */
  readonly way: Omit<Become, "user">;
}

/** The identity of a run on its hosts. */
export interface JobSession {
  readonly run: string;
  /** The user and machine that started the run, to report when the host is busy: `ann@laptop`. */
  readonly controller: string;
  /**
   * The playbook's directory on the controller; notified handlers are kept per project. Absent for a bundle that was
   * carried: the playbook's files are only in it, and it leaves no handlers to later runs.
   */
  readonly project?: string;
  /** The earlier run to resume: tasks that its journal records as done are not repeated. */
  readonly resume?: string;
  /** Milliseconds to wait for another run on the same host to end. */
  readonly lockWaitMs: number;
  /** Sequence number of the last event that the controller has of this run: more than 1 when the run begins anew on the host. */
  readonly after?: number;
}

/** Options of a job. */
export interface JobOptions {
  readonly check: boolean;
  readonly diff: boolean;
  /** Tags of the tasks to run; tasks tagged `always` run too. Empty: all tasks. */
  readonly tags: readonly string[];
  readonly skipTags: readonly string[];
  /** Skip all tasks before the first whose name, or `role : name`, is this or fits this glob. */
  readonly startAtTask?: string;
  /** The first play that is known to have such a task before the run: later plays are done whole. */
  readonly startAtPlay?: number;
  /** Ask the controller before each task. */
  readonly step?: boolean;
  /** Run notified handlers although a task has failed. */
  readonly forceHandlers?: boolean;
  /** The number of `-v`: tasks may show more. Default 0. */
  readonly verbosity?: number;
  /** Hosts at work at a time, as `ansible_forks` tells. Default: 5, as in Ansible. */
  readonly forks?: number;
  /** False when no controller sends `continue`: plays then follow each other at once. */
  readonly barriers: boolean;
}

/** A message of the controller after the Job, sent as one line. */
export type Command =
  /** Every host has ended the play with this index: go on. */
  | { readonly type: "continue"; readonly play: number }
  /** The answer to a question, by its {@link questionKey key}. */
  | ({ readonly type: "answer"; readonly question: string } & Partial<Answer>)
  /** The controller has the shared result of the task with this number. */
  | { readonly type: "taken"; readonly task: number }
  /** End after the action now running, with `bye`. */
  | { readonly type: "cancel" }
  /** End the action now running too. */
  | { readonly type: "kill" };

/** The result of a task that another host or the controller performed. */
export interface Answer {
  /** The result, masked and cut. An answer without it asks the host to do the task. */
  readonly result: Result;
  /** The whole result for code, neither masked nor cut, as `vars/whole-value.ts` writes it. */
  readonly whole?: string;
  /** True when `result` is only a part, and the whole is not known. */
  readonly partial?: boolean;
  /** The other host's secrets in the result, to mask from now on. */
  readonly secrets?: readonly string[];
}

/** An event of a host with its place in the stream. */
export type WireEvent = TargetEvent & { readonly seq: number; readonly time: number };

/**
 * A question of a host that only the controller can answer. Unlike an event, a question has no number and is in no
 * journal. A host repeats the question, with the same key, when a controller reconnects and after a restart.
 */
export type Question =
  /** Ask whether this host is the one of its batch that does a `runOnce` task. */
  | ({ readonly kind: "once" } & AskedTask)
  /** Ask to perform a delegated action. The controller knows the action; the host sends only the names of task and item. */
  | ({ readonly kind: "delegate" } & DelegatedTask)
  /** Ask the person at the terminal whether a task is done; `step` counts the host's questions of this kind, from 1. */
  | ({ readonly kind: "step"; readonly step: number } & AskedTask);

/** The line of a question. */
export interface QuestionLine {
  readonly type: "question";
  readonly question: Question;
}

/** The line of a whole result of a `runOnce` task, for the code of the other hosts. A host repeats the line until the controller sends `taken`. */
export interface ShareLine {
  readonly type: "share";
  readonly task: number;
  /** As `vars/whole-value.ts` writes it; absent for a result that is too long. */
  readonly whole?: string;
}

/**
 * The name of a question in its answer: the task's number, for a delegated action with item and attempt (`12:0:1`), for a
 * step the number of the question (`step:3`).
 */
export function questionKey(question: Question): string {
  switch (question.kind) {
    case "once":
      return String(question.task);
    case "delegate":
      return `${question.task}:${question.item}:${question.attempt}`;
    case "step":
      return `step:${question.step}`;
  }
}

/** Return a value as a line of the protocol. */
export function encodeLine(value: unknown): string {
  try {
    return `${JSON.stringify(value)}\n`;
  } catch (error) {
    if (!(error instanceof TypeError) || !error.message.includes("BigInt")) throw error;
    // An action's data may hold a long integer, which JSON has but JSON.stringify refuses.
    return `${writeJson(value, { separators: [",", ":"] })}\n`;
  }
}

/** The start of the first line of the protocol; lines before it are noise. */
export const HELLO_PREFIX = '{"type":"hello"';
