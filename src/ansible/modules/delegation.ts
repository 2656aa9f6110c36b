import { ActionFailure } from "../../core/action.ts";
import { type ErrorCode, isVolleyError, VolleyError } from "../../core/errors.ts";
import type { Facts } from "../../core/facts.ts";
import type { OtherWay } from "../../core/program.ts";
import type { Job } from "../../core/protocol.ts";
import type { System } from "../../core/system.ts";
import { LATE, type Vars } from "../../core/values/vars.ts";
import { maskToo } from "../../engine/results.ts";
import { settled } from "../frame.ts";
import type { HostState } from "../host-state.ts";
import { CONTROLLER, PLACELESS } from "../keywords.ts";
import { boolOf, textOr } from "../templar.ts";
import type { ModuleCall } from "./call.ts";
import { otherWay, wayToDelegate } from "./other-way.ts";
import { fromWorkingDirectory } from "./relative-paths.ts";

// The machine that a task works on, and whose facts it finds.

/** The parts of a call that say where it goes. */
type Delegated = Pick<ModuleCall, "interpreter" | "frame" | "templar">;

/** The machine that a task works on. */
export interface Place {
  readonly system: System;
  /** Set for another machine than the host. */
  readonly facts?: Facts;
}

/** Return the machine as the task acts on it: the host, or the one it is delegated to, as its user, and with its environment. */
export async function placeOf(call: ModuleCall): Promise<Place> {
  const { interpreter, node, environment } = call;
  const { job } = interpreter.host;
  const other = delegateOf(call);
  const isHere = other === "" || other === job.host || PLACELESS.has(node.module);
  const become = isHere ? becomeOf(call, call.templar.vars) : undefined;
  const way = isHere && !PLACELESS.has(node.module) ? otherWay(call, become) : undefined;
  const there: Place & { readonly isLocal?: boolean } = !isHere
    ? await elsewhere(other, call)
    : way === undefined
      ? { system: interpreter.host.systemOf(become) }
      : await byOtherWay(call, way, become);
  // On the controller itself modules begin in the playbook's directory.
  const isOnController = isHere
    ? job.isLocal === true || way?.connection === "local"
    : CONTROLLER.has(other) || there.isLocal === true;
  const directory = isOnController ? interpreter.directory : undefined;
  const place = { ...there, system: fromWorkingDirectory(there.system, directory) };
  const hasOwn = Object.keys(environment).length > 0;
  return hasOwn ? { ...place, system: withEnvironment(place.system, environment) } : place;
}

/** The vars that tell a task of the machine it is delegated to; none for a task that is not. */
export function delegatedVars(call: Delegated): Vars {
  const other = delegateOf(call);
  if (other === "") return {};
  // They are worked out when they are asked for.
  const byName = Object.defineProperty({}, other, {
    enumerable: true,
    get: () => call.interpreter.varsOfDelegate(other),
  });
  return { ansible_delegated_vars: Object.defineProperty(byName, LATE, { value: true }) };
}

/** The name of the machine that a task is delegated to; empty for none. */
function delegateOf({ frame, templar }: Delegated): string {
  const given = settled(frame, "delegate_to", templar.value);
  return textOr(given);
}

async function elsewhere(other: string, call: ModuleCall): Promise<Place & { readonly isLocal: boolean }> {
  const { interpreter, frame, own } = call;
  const { world, job } = interpreter.host;
  if (world === undefined)
    throw new VolleyError(
      "DELEGATE_REFUSED",
      `this is delegated to ${other}, and no controller is there to do it`,
    );
  const templar = interpreter.templarOfDelegate(other, frame, own);
  const become = becomeOf({ frame, templar }, templar.vars);
  const way = wayToDelegate(call, other, templar, become);
  maskWay(job, way);
  const { systemOf, facts } = await world
    .machine(other, interpreter.varsOf(other), way)
    .catch((thrown: unknown) => {
      throw asUnreachable(thrown);
    });
  return { system: systemOf(become), facts, isLocal: way?.connection === "local" };
}

/** Mask the passwords of a way: vars of tasks may have them. */
function maskWay(job: Job, way: OtherWay | undefined): void {
  maskToo(
    job,
    [way?.password, way?.becomePassword].filter((text) => text !== undefined),
  );
}

/** Open the host once more, or this machine in its place. */
async function byOtherWay(
  { interpreter }: ModuleCall,
  way: OtherWay,
  become: boolean | string | undefined,
): Promise<Place> {
  const { world, job } = interpreter.host;
  if (world === undefined) {
    const parts = Object.keys(way).map((part) =>
      part.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    );
    throw new VolleyError(
      "DELEGATE_REFUSED",
      `this task has another way to its host (${parts.join(", ")}), and no controller is there to open it`,
      { hint: "use --via direct" },
    );
  }
  maskWay(job, way);
  const name = way.connection === "local" ? "localhost" : job.host;
  const { systemOf, facts } = await world
    .machine(name, interpreter.varsOf(job.host), way)
    .catch((thrown: unknown) => {
      throw asUnreachable(thrown);
    });
  return { system: systemOf(become), facts };
}

/** The errors of a machine that no connection comes about with. */
const NO_CONNECTION: ReadonlySet<ErrorCode> = new Set([
  "CONNECT_FAILED",
  "AUTH_FAILED",
  "HOST_KEY_UNKNOWN",
  "HOST_KEY_CHANGED",
  "SESSION_REFUSED",
  "CONNECTION_LOST",
]);

/** Return the error as tasks have it: without a connection, of a machine that is unreachable. */
function asUnreachable(thrown: unknown): unknown {
  if (!isVolleyError(thrown) || !NO_CONNECTION.has(thrown.code)) return thrown;
  const { code, message, hint } = thrown;
  const said = `Failed to connect to the host via ssh: ${message}`;
  return new ActionFailure(
    code,
    said,
    { unreachable: true },
    { cause: thrown, ...(hint === undefined ? {} : { hint }) },
  );
}

/** Return the user that a task becomes, `true` for root; vars of the connection win over keywords. */
export function becomeOf(
  { frame, templar }: Pick<ModuleCall, "frame" | "templar">,
  vars: Vars,
): boolean | string | undefined {
  const { ansible_become: byVar, ansible_become_user: userByVar } = vars;
  const wanted = (byVar === "" ? false : byVar) ?? settled(frame, "become", templar.value);
  const become = wanted === undefined ? undefined : boolOf(wanted, "become");
  const user = userByVar ?? settled(frame, "become_user", templar.value);
  if (become !== true) return become;
  return textOr(user) || true;
}

function withEnvironment(system: System, environment: Readonly<Record<string, string>>): System {
  return Object.assign(Object.create(system) as System, {
    run: (argv: readonly string[], options: Parameters<System["run"]>[1] = {}) =>
      system.run(argv, { ...options, env: { ...environment, ...options.env } }),
    query: (argv: readonly string[], options: Parameters<System["query"]>[1] = {}) =>
      system.query(argv, { ...options, env: { ...environment, ...options.env } }),
  });
}

/** The host whose facts a task's are: with `delegate_facts` those of the machine it is delegated to. */
export function factsOwner(call: Delegated): HostState {
  const { interpreter, frame, templar } = call;
  const other = delegateOf(call);
  const given = settled(frame, "delegate_facts", templar.value);
  const isOthers = other !== "" && given !== undefined && boolOf(given, "delegate_facts");
  return isOthers ? interpreter.stateOf(other) : interpreter.state;
}
