import type { Vars } from "./json.ts";
import type { PlaySchedule } from "./play-schedule.ts";
import type { HandlerSpec, RoleUse, TasksContext } from "./role.ts";

/** Maps a pattern of hosts to roles. */
export interface Play extends PlaySchedule {
  readonly name?: string;
  /** A pattern: `web:&prod:!db`, `web[01:20]`, a glob, `~regex`. */
  readonly hosts: string;
  readonly roles?: readonly RoleUse[];
  /** Tasks of the play itself, run after its roles; their assets lie beside the playbook. */
  readonly tasks?: (context: TasksContext) => void | Promise<void>;
  readonly handlers?: Readonly<Record<string, HandlerSpec>>;
  /** Vars for every host of the play; over the inventory's, under those a role is given. */
  readonly vars?: Vars;
  /** Names of vars of other hosts that this play's roles and templates read as `hostVars`. */
  readonly hostVars?: readonly string[];
  /** The user to become; `true` is root. Default: what the inventory says. */
  readonly become?: boolean | string;
  /** `free`: a host goes on with the next play, unless that is serial or throttled, without waiting for the others. Default `linear`. */
  readonly strategy?: "linear" | "free";
  readonly tags?: string | readonly string[];
}

/** A play as the executor sees it: its own tasks are one more role. */
export interface PlayDefinition extends Play {
  readonly name: string;
  readonly roles: readonly RoleUse[];
}

/** Plays, in order. */
export interface Playbook {
  readonly plays: readonly PlayDefinition[];
}
