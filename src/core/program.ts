import type { Facts } from "./facts.ts";
import type { ControllerLookups } from "./lookup.ts";
import type { System } from "./system.ts";

import { matchesGlob, setGlobPieces } from "./unix/shell.ts";

/** A task as it is listed before a run. */
export interface TaskOutline {
  readonly name: string;
  /** Empty for a task of the play itself. */
  readonly role: string;
  /** All tags that select it, those of its play among them. */
  readonly tags: readonly string[];
}

/** Tell whether a run that starts at a task starts at one of this name: the name itself, or `role : name`, or a glob of one. */
export function isStart(
  start: string,
  { role, name }: { readonly role: string; readonly name: string },
): boolean {
  const glob = setGlobPieces(start, "fnmatch");
  return [name, `${role} : ${name}`].some((each) => each === start || matchesGlob(glob, each));
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
  /** The number of its tasks, as far as it is known before it runs. */
  readonly estimate: number;
  /** Carry the play out; the engine gives `host`, a `ProgramHost` of `engine/program.ts`. */
  run(host: never): Promise<unknown>;
}

/** What a controller lends to plays that are carried out there. */
export interface ProgramWorld {
  /** Performs lookups on the controller's machine. */
  readonly lookups: ControllerLookups;
  /** The controller's machine, for tasks that are delegated to it. */
  local(): System;
  localFacts(): Promise<Facts>;
  /** What the hosts of a run have learned, by name: all plays of the run share it. */
  readonly hosts: Map<string, unknown>;
}
