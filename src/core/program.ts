import type { ActionContext } from "./action.ts";
import type { Facts } from "./facts.ts";
import type { Inventory } from "./inventory.ts";
import type { ControllerLookups } from "./lookup.ts";
import type { Job } from "./protocol.ts";
import type { RoleUse } from "./role.ts";
import type { Secret, SecretValue } from "./secret.ts";
import type { ProcessResult, System } from "./system.ts";
import { matchesGlob, setGlobPieces } from "./unix/shell.ts";
import type { Vars } from "./values/vars.ts";
import type { VaultedValue } from "./values/vaulted.ts";

/** A task as it is listed before a run. */
export interface TaskOutline {
  readonly name: string;
  /** Empty for a task of the play itself. */
  readonly role: string;
  /** All tags that select it, those of its play among them. */
  readonly tags: readonly string[];
  /** Set where a role in TypeScript stands in the place of a task: it declares its tasks itself. */
  readonly guest?: RoleUse;
}

/** Tell whether a run that starts at a task starts at one of this name: the name itself, or `role : name`, or a glob of one. */
export function isStart(
  start: string,
  { role, name }: { readonly role: string; readonly name: string },
): boolean {
  const glob = setGlobPieces(start, "fnmatch");
  return [name, `${role} : ${name}`].some((each) => each === start || matchesGlob(glob, each));
}

/** A var that a person is asked for before the run: an entry of a play's `vars_prompt`, as it is written. */
export interface VarPrompt {
  readonly name: string;
  readonly prompt?: unknown;
  readonly private?: unknown;
  readonly default?: unknown;
  readonly confirm?: unknown;
  readonly encrypt?: unknown;
  readonly salt?: unknown;
  readonly salt_size?: unknown;
  readonly unsafe?: unknown;
}

/** Keywords of a play that are templates, of which the controller needs the values. */
export interface PlayTemplates {
  /** The place of the play: its file, line and column. */
  readonly at: string;
  readonly keys: Vars;
  /** The vars of the play, below those that a person was asked for, and those of its files, above them. */
  vars(vaulted: readonly VaultedValue[] | undefined): readonly [play: Vars, files: Vars];
  /** The names of vars of the play and its roles that Ansible keeps for keywords: these vars do not change what the keywords say. */
  readonly reserved: readonly string[];
  /** The place of the first `debugger` of the playbook, which is passed over. */
  readonly debugger?: string | undefined;
  /** Return the parts of the play's definition that these values of its keywords make. */
  settle(values: Vars): object;
}

/** A play that decides by itself which tasks to do, instead of roles that declare them: Ansible's YAML. */
export interface PlayProgram {
  /** The names of its roles, in order. */
  readonly roles: readonly string[];
  /** Its tasks, as far as they are known before it runs. */
  readonly outline?: readonly TaskOutline[];
  /** What a run would tell only when it reaches it, with file and line: tasks whose modules are not there. */
  readonly faults?: readonly string[];
  /** The reason why only a controller can carry it out: it asks for files, hosts or lookups of the controller. */
  readonly needsController?: string;
  /** The reason why only a controller can carry it out on several hosts: they go through it together, or ask for each other. */
  readonly needsOthers?: string;
  /** True when nothing of it asks anything of its hosts: these need not be there. */
  readonly asksNoHost?: boolean;
  /** True when tasks of its playbook add hosts to the run: later plays may be for these. */
  readonly addsHosts?: boolean;
  /** The names of the groups that tasks of its playbook make, with `*` for what only a run knows: later plays may be for these. */
  readonly makesGroups?: readonly string[];
  /** True when it reads the vars of other hosts. */
  readonly readsHosts?: boolean;
  /** Vars that a person is asked for. */
  readonly prompts?: readonly VarPrompt[];
  readonly templates?: PlayTemplates;
  /** The number of its tasks, as far as it is known before it runs. */
  readonly estimate: number;
  /** Carry the play out; the engine gives `host`, a `ProgramHost` of `engine/program.ts`. */
  run(host: never): Promise<unknown>;
}

/** What a controller lends to plays that are carried out there. */
export interface ProgramWorld {
  /** Performs lookups on the controller's machine. */
  readonly lookups: ControllerLookups;
  /**
   * Return the machine that tasks are delegated to: the controller's own, a host of the inventory, or one that these
   * vars describe. Its connection is opened once for each `way`, and stays for the run. Fails as connecting does.
   */
  machine(name: string, vars: Vars, way?: OtherWay): Promise<Machine>;
  /** Return the port that inventory or plays give a host; undefined where neither does. */
  portOf(name: string): number | undefined;
  /** Return the content of a file of this machine that is encrypted with Ansible Vault. Fails with `SECRET_FAILED`. */
  openVaultFile(path: string): Promise<Buffer>;
  /** Make a command for programs of this machine in the place of `ssh`: `start` starts what the programs ask for. */
  remoteShell(start: StartRemotely): Promise<RemoteShell>;
  /** Return the way to the machine that a task in TypeScript is delegated to, as a user. */
  elsewhere(name: string, job: Pick<Job, "hostVars">, become: boolean | string | undefined): Elsewhere;
  /** Add a host to the run, or more groups and vars to one. Fails as `extend` of an inventory does. */
  extend: NonNullable<Inventory["extend"]>;
  /**
   * The vars of the inventory's hosts. They leave this machine only as arguments of tasks. Their secrets are closed: they
   * are opened, and masked, when a task asks for them.
   */
  readonly hostVars: ReadonlyMap<string, Vars>;
  /** Throw the reason why vars of a host stay closed, where there is one. */
  refuseLocked(host: string): void;
  readonly secrets: WorldSecrets;
  /** What the hosts of a run have learned, by name: all plays of the run share it. */
  readonly hosts: Map<string, unknown>;
  /** Keeps the facts of hosts from run to run, where that is set. */
  readonly facts?: FactCache;
  /** Lets the hosts of a batch go through a play together; absent before the first batch begins. */
  readonly lockstep?: Lockstep;
}

/** A way to a machine that differs from the inventory's; undefined parts are as there. */
export interface OtherWay {
  /** `local`: the task is done on this machine, in the place of that one. */
  readonly connection?: "ssh" | "local";
  readonly user?: string;
  readonly password?: string;
  readonly privateKeyFile?: string;
  readonly address?: string;
  readonly port?: number;
  readonly becomeMethod?: string;
  readonly becomeExe?: string;
  readonly becomeFlags?: string;
  readonly becomePassword?: string;
}

/** Opens the secrets of hosts for others that read them. */
export interface WorldSecrets {
  /** Return a secret's value; `what` names it in errors. Fails with `SECRET_FAILED`. */
  open(secret: Secret, what: string): Promise<SecretValue>;
  /** Return the texts that reveal a value. */
  textsOf(value: SecretValue): readonly string[];
}

/** Keeps the facts of hosts from run to run. */
export interface FactCache {
  /** Return a host's facts, by the names that modules give them; undefined for none that count. */
  load(host: string): Vars | undefined;
  /** Fails with `FILE_FAILED`. */
  save(host: string, facts: Vars): void;
  drop(host: string): void;
}

/** Starts a command line on a host, whose standard input and output are the stream. */
export type StartRemotely = (line: string, stream: NodeJS.ReadWriteStream) => Promise<ProcessResult>;

/** A command in the place of `ssh`. */
export interface RemoteShell {
  /** Its words; a host, which is not looked at, and the words of a command line follow. */
  readonly argv: readonly string[];
  close(): Promise<void>;
}

/** Opens the machine that a task in TypeScript is delegated to, and gives it with the context of an action there. */
export type Elsewhere = (
  context: ActionContext,
) => Promise<readonly [system: System, context: ActionContext]>;

/** A machine that tasks of other hosts are delegated to. */
export interface Machine {
  systemOf(become: boolean | string | undefined): System;
  readonly facts: Facts;
}

/** The place of a host in a play. */
export interface Step {
  /** The play's index. */
  readonly play: number;
  readonly host: string;
  /** The numbers of the statements on the way to the task, outermost first: the earlier task has the smaller one. */
  readonly place: readonly number[];
}

/** Lets the hosts of a batch go through a play together, task by task, as Ansible's strategy `linear` does. */
export interface Lockstep {
  /** Wait until no other host of the batch has a task to do that comes before this one, or until the signal is aborted. */
  arrive(step: Step, signal: AbortSignal): Promise<void>;
  /** Do a task, with at most so many hosts of the batch at it, and no more hosts at work than the run allows. */
  turn<T>(step: Step, most: number | undefined, work: () => Promise<T>): Promise<T>;
  /** All hosts that the play is for, without those that have failed or left; with them where `all` is set. */
  hostsOf(play: number, all?: boolean): readonly string[];
  /** The hosts of a host's batch that have not failed or left. */
  batchOf(step: Pick<Step, "play" | "host">): readonly string[];
  /** True for the first host of the batch among those that came to this place together. */
  isFirst(step: Step): boolean;
  /** This host ends the play by itself, without a failure. */
  leave(step: Pick<Step, "play" | "host">): void;
  /** The failure of this host ends the run for all others. */
  fail(step: Pick<Step, "play" | "host">): void;
  /** End the play for all hosts of the batch, or of all batches; those that come to a next task hear of it by {@link isOver}. */
  end(step: Pick<Step, "play" | "host">, forAll: boolean): void;
  isOver(step: Pick<Step, "play" | "host">): boolean;
  /** Return whether the play is for this host: hosts of groups that tasks make are known only when the play begins. */
  isFor(step: Pick<Step, "play" | "host">): boolean;
}

/** The roles in Ansible's YAML that plays in TypeScript use. The engine opens them with `engine/guests.ts`. */
export interface GuestRoles
  extends Pick<PlayProgram, "faults" | "needsController" | "needsOthers" | "makesGroups" | "readsHosts"> {
  /** List the tasks of a role as they are known before a run. Fails with `PLAYBOOK_INVALID` for a role that is not there. */
  outline(use: RoleUse, tags: readonly string[]): readonly TaskOutline[];
  /** Begin to carry roles out within a play; the engine gives `host`, and gets a `GuestPlay`. */
  open(host: never): unknown;
}
