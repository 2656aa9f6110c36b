import { VolleyError } from "./errors.ts";
import { checkOptions, isWithin, type Kind, MAX_TIMER_SECONDS, SWITCH } from "./options.ts";
import type { GuestRoles, PlayProgram } from "./program.ts";
import type { AnyRole, HandlerSpec, Role, RoleUse, TasksContext } from "./role.ts";
import { isRecord } from "./values/value.ts";
import type { Vars } from "./values/vars.ts";

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
  /** The user to become; `true` is root. Default: the inventory's. */
  readonly become?: boolean | string;
  /** `free`: a host begins the next play, unless that play is serial or throttled, without waiting for the others. Default `linear`. */
  readonly strategy?: "linear" | "free";
  readonly tags?: string | readonly string[];
}

/** A play as the engine sees it: its own tasks are one more role. */
export interface PlayDefinition extends Play {
  readonly name: string;
  readonly roles: readonly RoleUse[];
  /** The connection of hosts whose inventory says nothing of it, under any name that the inventory may give it. */
  readonly connection?: string;
  /** The login user of hosts whose inventory names none; may be a template of the host's vars. */
  readonly remoteUser?: string;
  /** The port of hosts whose inventory names none. */
  readonly port?: number;
  /** The method, the program and the flags to become another user by, where the inventory names none. */
  readonly becomeMethod?: string;
  readonly becomeExe?: string;
  readonly becomeFlags?: string;
  /** Carries the play out in place of roles. */
  readonly program?: PlayProgram;
  /** The schedule as it is written, where the controller has filled in templates: hosts know no other. */
  readonly written?: WrittenSchedule;
}

/** The parts of a play's schedule that hosts know. */
type WrittenSchedule = Pick<PlaySchedule, "serial" | "throttle"> & Pick<Play, "strategy">;

/** Plays, in order. */
export interface Playbook {
  readonly plays: readonly PlayDefinition[];
  /** Roles of another language that the plays use. */
  readonly guests?: GuestRoles;
}

/** The number of hosts of a play in a batch, or a share of the play's hosts, rounded down, at least one host. */
export type BatchSize = number | `${number}%`;

/** The orders in which the hosts of a play can begin. */
export const PLAY_ORDERS = ["inventory", "reverse_inventory", "sorted", "reverse_sorted", "shuffle"] as const;

/** An order in which the hosts of a play begin. */
export type PlayOrder = (typeof PLAY_ORDERS)[number];

/** A play's schedule, and its conditions for ending the run early. Only a controller heeds these keys; most are Ansible's. */
export interface PlaySchedule {
  /**
   * Hosts go in batches of this size, the whole play with its handlers each, as in Ansible; of a list, one size after
   * the other, the last for all that are left. A batch in which every host failed ends the run.
   */
  readonly serial?: BatchSize | readonly BatchSize[];
  /** The run ends early when more than this share of a batch (without `serial`: of the play) failed; 0 to 100. */
  readonly maxFailPercentage?: number;
  /** The run ends early when one host failed. */
  readonly anyErrorsFatal?: boolean;
  /** The order in which hosts begin. Default `inventory`. */
  readonly order?: PlayOrder;
  /** Hosts at work in this play at a time; `--forks` limits them too. */
  readonly throttle?: number;
  /** Seconds a host may take for this play, connecting included: then it ends as failed with `TIMEOUT`. */
  readonly timeout?: number;
  /**
   * Seconds to try again to connect to hosts that have this play first and are not there yet: machines that are just
   * being made. Default 0. As Ansible's `wait_for_connection` at the beginning of a play.
   */
  readonly waitForConnection?: number;
}

const PLAY_KEYS: Readonly<Record<keyof Play, Kind | null>> = {
  name: null,
  hosts: null,
  roles: null,
  tasks: null,
  handlers: null,
  vars: null,
  hostVars: null,
  become: null,
  strategy: null,
  serial: [
    'a whole number of 1 or more, a share such as "30%", or a list of these',
    (value) => {
      const sizes = [value].flat();
      return sizes.length > 0 && sizes.every(isBatchSize);
    },
  ],
  maxFailPercentage: ["a number from 0 to 100", (value) => isWithin(value, 0, 100)],
  anyErrorsFatal: SWITCH,
  order: [
    `one of ${PLAY_ORDERS.map((known) => `"${known}"`).join(", ")}`,
    (value) => (PLAY_ORDERS as readonly unknown[]).includes(value),
  ],
  throttle: ["a whole number of 1 or more", isWhole],
  timeout: [
    `a number of seconds above 0, and ${MAX_TIMER_SECONDS} at most`,
    (value) => isWithin(value, Number.MIN_VALUE, MAX_TIMER_SECONDS),
  ],
  waitForConnection: [
    `a number of seconds from 0 to ${MAX_TIMER_SECONDS}`,
    (value) => isWithin(value, 0, MAX_TIMER_SECONDS),
  ],
  tags: null,
};

/** Plays that {@link definePlay} made: their own tasks are among their roles already. */
const defined = new WeakSet<Play>();

/** Define a play: hosts and roles. */
export function definePlay(play: Play, directory?: string): PlayDefinition {
  if (!isRecord(play))
    throw new VolleyError("PLAYBOOK_INVALID", "a play must be an object with `hosts` and `roles`");
  const name = play.name ?? (typeof play.hosts === "string" ? play.hosts : "without a name");
  checkOptions(`play "${name}"`, ["play", "key"], play, PLAY_KEYS);
  if (typeof play.hosts !== "string" || play.hosts.trim() === "") {
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      `play "${name}": \`hosts\` must be a pattern such as "web" or "all"`,
    );
  }
  const roles = (play.roles ?? []).map((use, index) => checkRoleUse(name, use, index));
  if (play.tasks !== undefined) {
    const own: AnyRole = {
      name,
      tasks: play.tasks,
      directory,
      ...(play.handlers === undefined ? {} : { handlers: play.handlers }),
    };
    roles.push({ role: own, vars: {}, options: {} });
  }
  const definition = { ...play, name, roles };
  defined.add(definition);
  return definition;
}

function checkRoleUse(play: string, use: unknown, index: number): RoleUse {
  if (typeof use === "function" && isRecord((use as Partial<Role<unknown>>).role)) {
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      `play "${play}": call the role: write \`${(use as Role<unknown>).role.name}()\``,
    );
  }
  if (!isRecord(use) || !isRecord(use.role)) {
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      `play "${play}": roles[${index}] is not a role; import one made with defineRole and call it`,
    );
  }
  return use as unknown as RoleUse;
}

/** Define a playbook: plays, in order. A play may be written in place, without `definePlay`. */
export function definePlaybook(plays: readonly Play[], directory?: string): Playbook {
  if (!Array.isArray(plays))
    throw new VolleyError("PLAYBOOK_INVALID", "definePlaybook takes a list of plays");
  if (plays.length === 0)
    throw new VolleyError("PLAYBOOK_INVALID", "the playbook has no plays", {
      hint: 'write at least one: `definePlaybook([{ hosts: "all", roles: [ … ] }])`',
    });
  return {
    plays: plays.map((play: Play) =>
      defined.has(play) ? (play as PlayDefinition) : definePlay(play, directory),
    ),
  };
}

/** True for a value with the shape of a playbook. */
export function isPlaybook(value: unknown): value is Playbook {
  return isRecord(value) && Array.isArray(value.plays);
}

function isWhole(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 1;
}

function isBatchSize(value: unknown): boolean {
  if (typeof value !== "string") return isWhole(value);
  const share = /^\d+(\.\d+)?%$/.test(value) ? Number(value.slice(0, -1)) : 0;
  return share > 0 && share <= 100;
}

/** True for a play that its hosts begin only on the controller's word, whatever came before. */
function isHeld({ serial, throttle }: WrittenSchedule): boolean {
  return serial !== undefined || throttle !== undefined;
}

/** True when a host that has ended a play waits for the controller's word before the next play. */
export function waitsBetween(
  play: WrittenSchedule & { readonly written?: WrittenSchedule },
  next: WrittenSchedule & { readonly written?: WrittenSchedule },
): boolean {
  return (play.written ?? play).strategy !== "free" || isHeld(next.written ?? next);
}

/** Return a batch size's share in percent, undefined for a number of hosts. */
export function percentageOf(size: BatchSize): number | undefined {
  return typeof size === "number" ? undefined : Number(size.slice(0, -1));
}
