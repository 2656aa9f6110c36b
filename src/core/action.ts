import type { Asset } from "./asset.ts";
import { type ErrorCode, type ErrorDetails, VolleyError } from "./errors.ts";

import type { Facts } from "./facts.ts";
import type { Vars } from "./json.ts";
import type { Diff } from "./result.ts";
import type { ReadSystem, System } from "./system.ts";

/** What `inspect` found to be needed; it is what `apply` gets, and the diff a person sees. */
export interface Change {
  readonly diff?: Diff | readonly Diff[];
  /** One line for a person: `would restart nginx`. */
  readonly message?: string;
  /** Set when check mode cannot know whether anything would change, with the reason. */
  readonly unknown?: string;
}

/** That nothing is needed, with what was found out on the way; `null` says the same with nothing to tell. */
export interface Unchanged<D> {
  readonly unchanged: true;
  readonly data?: D;
  readonly message?: string;
  /** True when the action decided not to run at all, as `command` does when `creates` exists: the task is then skipped. */
  readonly skipped?: boolean;
}

/** What `apply` has to tell. */
export interface Applied<D> {
  readonly data?: D;
  readonly message?: string;
  /** Said by an action that finds out only by doing; default true. */
  readonly changed?: boolean;
}

/** Values found out once and kept for the rest of the run, such as the list of installed packages. */
export interface Memo {
  get<T>(key: string, make: () => Promise<T>): Promise<T>;
  /** Forgets a value that an action has made untrue. */
  forget(key: string): void;
  /** Forgets everything: a command may have changed anything. */
  clear(): void;
}

/** How a template's white space is treated; Ansible's defaults, unless the template's `#jinja2:` line says otherwise. */
export interface RenderStyle {
  /** Removes the newline after a block tag. Default true. */
  readonly trimBlocks?: boolean;
  /** Removes white space before a block tag. Default false. */
  readonly lstripBlocks?: boolean;
}

/** What an action has at hand beside its parameters and the system. */
export interface ActionContext {
  /** Template variables: facts, host vars and role vars by name. */
  readonly vars: Vars;
  readonly facts: Facts;
  /** True in check mode, where `apply` is never called. */
  readonly check: boolean;
  readonly signal: AbortSignal;
  readonly memo: Memo;
  /** Finds a file of the role: in its `files` (or `templates`) directory, then in the role's directory. Fails with `ASSET_MISSING`. */
  asset(kind: "files" | "templates", src: string): Asset;
  /** Every file below a directory of the role's assets, as paths relative to it; null when `src` is not a directory. */
  assetTree(kind: "files" | "templates", src: string): readonly string[] | null;
  /** Renders a template of the role with the task's vars and these. Fails with `TEMPLATE_FAILED`. */
  render(src: string, vars?: Vars, style?: RenderStyle): Promise<string>;
  /**
   * Says that the host is about to restart, as this task wants, and will be back within the time: the run goes on
   * then. Absent where nobody is there to go on.
   */
  restart?(timeoutMs: number): void;
  /** Shows output live. */
  output(stream: "stdout" | "stderr", text: string): void;
}

/** An action with its parameters, ready to be declared as a task. */
export interface ActionCall<D = unknown> {
  readonly action: string;
  /** The validated parameters. */
  readonly params: Readonly<Record<string, unknown>>;
  readonly title: string;
  inspect(system: ReadSystem, context: ActionContext): Promise<Change | Unchanged<D> | null>;
  // biome-ignore lint/suspicious/noConfusingVoidType: an apply with nothing to tell returns nothing
  apply(change: Change, system: System, context: ActionContext): Promise<Applied<D> | void>;
  /**
   * What is left to do once the host is back that the action restarted ({@link ActionContext.restart}), where anything
   * is: the action itself is done. `elapsedMs` is how long ago its task began.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: as apply
  afterRestart?(system: System, context: ActionContext, elapsedMs: number): Promise<Applied<D> | void>;
}

/** That nothing is needed, with what was found. */
export function unchanged<D>(data?: D, message?: string): Unchanged<D> {
  return {
    unchanged: true,
    ...(data === undefined ? {} : { data }),
    ...(message === undefined ? {} : { message }),
  };
}

/** That the action chose not to run, with the reason. */
export function skipped<D>(message: string, data?: D): Unchanged<D> {
  return { unchanged: true, skipped: true, message, ...(data === undefined ? {} : { data }) };
}

/** A failure that has data to tell all the same, such as the exit code and output of a command: the Result carries it. */
export class ActionFailure<D = unknown> extends VolleyError {
  readonly data: D;

  constructor(code: ErrorCode, message: string, data: D, details: ErrorDetails = {}) {
    super(code, message, details);
    this.data = data;
  }
}

/** The data an {@link ActionFailure} carries, also when it was made by another copy of this module; undefined when there is none. */
export function failureData(thrown: unknown): unknown {
  return thrown instanceof Error ? (thrown as Partial<ActionFailure>).data : undefined;
}

/** A Memo that lives as long as its run. */
export function createMemo(): Memo {
  const values = new Map<string, Promise<unknown>>();
  return {
    get<T>(key: string, make: () => Promise<T>): Promise<T> {
      const known = values.get(key);
      if (known !== undefined) return known as Promise<T>;
      const made = make();
      values.set(key, made);
      // A failure is not a value: the next to ask tries again.
      made.catch(() => values.delete(key));
      return made;
    },
    forget: (key) => void values.delete(key),
    clear: () => values.clear(),
  };
}
