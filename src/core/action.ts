import type { Asset, TreeEntries } from "./asset.ts";
import { type ErrorCode, type ErrorDetails, VolleyError } from "./errors.ts";
import type { Facts } from "./facts.ts";
import type { Diff } from "./result.ts";
import type { ReadSystem, System } from "./system.ts";
import type { Vars } from "./values/vars.ts";

/** A change that `inspect` found to be needed. `apply` performs it, and reporters show its diff. */
export interface Change {
  readonly diff?: Diff | readonly Diff[];
  /** A line for people: `would restart nginx`. */
  readonly message?: string;
  /** Set when check mode cannot know whether anything would change, with the reason. */
  readonly unknown?: string;
  /** What a real run is known to return, for check mode; absent where only `apply` can tell. */
  readonly data?: unknown;
}

/** The answer of `inspect` when no change is needed, with the data found on the way; `null` is the same without data. */
export interface Unchanged<D> {
  readonly unchanged: true;
  readonly data?: D;
  readonly message?: string;
  /** True when the action decided not to run at all, as `command` does when `creates` exists: the task is then skipped. */
  readonly skipped?: boolean;
}

/** The outcome of `apply`. */
export interface Applied<D> {
  readonly data?: D;
  readonly message?: string;
  /** Set by an action that can tell only after the fact whether it changed anything. Default true. */
  readonly changed?: boolean;
}

/** Values computed once and kept for the rest of the run, such as the list of installed packages. */
export interface Memo {
  get<T>(key: string, make: () => Promise<T>): Promise<T>;
  /** Forget a value that an action has made untrue. */
  forget(key: string): void;
  /** Forget every value: a command may have changed anything. */
  clear(): void;
}

/** Treatment of a template's white space. The defaults are Ansible's; the template's `#jinja2:` line overrides them. */
export interface RenderStyle {
  /** Remove the newline after a block tag. Default true. */
  readonly trimBlocks?: boolean;
  /** Remove white space before a block tag. Default false. */
  readonly lstripBlocks?: boolean;
  /** The marks of tags that differ from the usual ones, by Jinja's names: `variable_start_string`. */
  readonly marks?: Readonly<Record<string, string>>;
}

/** The services for an action beside its parameters and the system. */
export interface ActionContext {
  /** Template variables: facts, host vars and role vars by name. */
  readonly vars: Vars;
  readonly facts: Facts;
  /** True in check mode, where `apply` is never called. */
  readonly check: boolean;
  /** True where a playbook registers the result: data that is dear to get, such as checksums of large files, must be complete. */
  readonly registered?: boolean;
  readonly signal: AbortSignal;
  readonly memo: Memo;
  /** Find a file of the role: in its `files` (or `templates`) directory, then in the role's directory. Fails with `ASSET_MISSING`. */
  asset(kind: "files" | "templates", src: string): Asset;
  /** Every file below a directory of the role's assets, as paths relative to it; null when `src` is not a directory. */
  assetTree(kind: "files" | "templates", src: string): readonly string[] | null;
  /**
   * The same with directories and links, where the assets are read from the disk; a bundle has only files, and this is
   * absent. `follow`: only links that lead nowhere, or to a directory they are in, stay links.
   */
  assetEntries?(kind: "files" | "templates", src: string, follow: boolean): TreeEntries | null;
  /** Render a template of the role with the task's vars and `vars`. Fails with `TEMPLATE_FAILED`. */
  render(src: string, vars?: Vars, style?: RenderStyle): Promise<string>;
  /**
   * Announce that this task is about to restart the host, which will be back within `timeoutMs`. The run then continues.
   * Absent without a controller, because only a controller can continue the run.
   */
  restart?(timeoutMs: number): void;
  /** Show output live. */
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
   * Finish an action that restarted its host ({@link ActionContext.restart}), once the host is back; absent when the
   * restart completes the action. `elapsedMs` is the time since the task began.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: as apply
  afterRestart?(system: System, context: ActionContext, elapsedMs: number): Promise<Applied<D> | void>;
}

/** Return an {@link Unchanged} with data. */
export function unchanged<D>(data?: D, message?: string): Unchanged<D> {
  return {
    unchanged: true,
    ...(data === undefined ? {} : { data }),
    ...(message === undefined ? {} : { message }),
  };
}

/** Return an {@link Unchanged} whose task counts as skipped, with the reason. */
export function skipped<D>(message: string, data?: D): Unchanged<D> {
  return { unchanged: true, skipped: true, message, ...(data === undefined ? {} : { data }) };
}

/** A failure with data, such as the exit code and output of a command. The Result carries the data. */
export class ActionFailure<D = unknown> extends VolleyError {
  readonly data: D;

  constructor(code: ErrorCode, message: string, data: D, details: ErrorDetails = {}) {
    super(code, message, details);
    this.data = data;
  }
}

/** Return the data of an {@link ActionFailure}, undefined for other errors. Recognises errors of another copy of this module, too: a bundle has its own. */
export function failureData(thrown: unknown): unknown {
  return thrown instanceof Error ? (thrown as Partial<ActionFailure>).data : undefined;
}

/** Make a Memo, which lives as long as its run. */
export function createMemo(): Memo {
  const values = new Map<string, Promise<unknown>>();
  return {
    get<T>(key: string, make: () => Promise<T>): Promise<T> {
      const known = values.get(key);
      if (known !== undefined) return known as Promise<T>;
      const made = make();
      values.set(key, made);
      // A failure is not kept, so that the next caller tries again.
      made.catch(() => values.delete(key));
      return made;
    },
    forget: (key) => void values.delete(key),
    clear: () => values.clear(),
  };
}
