import type { Statement } from "./code.ts";
import type { RoleVars } from "./role-vars.ts";

/** The role that is converted, as the writer of its tasks needs it. */
export interface RoleConversion {
  readonly vars: RoleVars;
  /** Note that the file being written imports a name of `volley`, and return the name. */
  importAction(name: string): string;
  /** Note that the file being written calls the function of another file of tasks, and return the function's name. */
  importTasks(path: string): string;
  importVarsFiles(): string;
  /** Return the comments of a statement: above it, and within it up to the next one. */
  commentsAt(at: string): readonly Statement[];
  /** Note that a task of the role is delegated to another machine. */
  delegates(at: string): void;
  /** Tell the person of a role in YAML that is needed. */
  noteRole(role: string, at: string): void;
  /** Tell the person who converts the role something about a place. */
  note(at: string, text: string): void;
  /** The paths of the role's files of tasks. */
  readonly taskFiles: readonly string[];
  /** Return the names of the handlers that a name notifies. Fails with `PLAYBOOK_INVALID` for one that the role lacks. */
  notified(name: string, at: string): readonly string[];
}
