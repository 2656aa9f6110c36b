import { VolleyError } from "../../core/errors.ts";
import type { Inventory } from "../../core/inventory.ts";
import type { GuestRoles } from "../../core/program.ts";
import { matchesGlob, setGlobPieces } from "../../core/unix/shell.ts";
import type { Via } from "../session/state.ts";
import type { OpenHostPlan, PlayHosts } from "./plan.ts";

// By which method a run is carried out: by its hosts, each with the bundle, or from here.

/** The method of a run. */
export interface Method {
  readonly via: Via;
  /** True when plays need to be carried out from here, and are. */
  readonly isLed: boolean;
  /** True when the plays ask nothing of their hosts, some of which are other machines. */
  readonly asksNoHost: boolean;
}

/** Choose the method of a run. `keepsFacts`: facts are cached, and later runs find them only where plays are carried out from here. */
export function chooseMethod(
  selected: OpenHostPlan,
  {
    via,
    guests,
    keepsFacts,
  }: { readonly via: Via; readonly guests: GuestRoles | undefined; readonly keepsFacts: boolean },
): Method {
  const asksNoHost = via === "auto" && needsNobody(selected);
  const needsLead = selected.plays.some(
    (each) => asksNoHost || needOf(each, selected, guests) !== undefined || (keepsFacts && isOfProgram(each)),
  );
  const method = needsLead && via === "auto" ? "direct" : via;
  return { via: method, isLed: needsLead && method === "direct", asksNoHost };
}

/**
 * Return the method of a run that workers carry out: they have the bundle, and nothing else of this machine. Fails with
 * `USAGE` for a run that needs more.
 */
export function methodOfWorkers(
  selected: OpenHostPlan,
  {
    via,
    guests,
    playbook,
  }: { readonly via: Via; readonly guests: GuestRoles | undefined; readonly playbook: string },
): Method {
  if (via === "direct")
    throw new VolleyError("USAGE", `workers cannot carry ${playbook} out: they work by bundles alone`, {
      hint: "leave out --via direct, or --queue",
    });
  const need =
    via === "auto"
      ? selected.plays.map((each) => needOf(each, selected, guests)).find((text) => text !== undefined)
      : undefined;
  if (need !== undefined)
    throw new VolleyError("USAGE", `workers cannot carry ${playbook} out: ${need}`, {
      hint: "run it without --queue",
    });
  return { via: "bundle", isLed: false, asksNoHost: false };
}

/** Return the open plays of a run whose hosts work by themselves, and whether facts would have been cached, as lines. */
export function leftAlone({ plays }: OpenHostPlan, keepsFacts: boolean): readonly string[] {
  return [
    ...plays
      .filter(({ mayJoin }) => mayJoin !== undefined)
      .map(
        ({ play: { name } }) =>
          `play "${name}": hosts that tasks add or group take part only with --via direct`,
      ),
    ...(keepsFacts && plays.some(isOfProgram) ? ["facts are cached only with --via direct"] : []),
  ];
}

/** Return why a play is carried out from here; undefined where its hosts can do so by themselves. */
function needOf(
  each: PlayHosts,
  { plays, inventory }: OpenHostPlan,
  guests: GuestRoles | undefined,
): string | undefined {
  const { name } = each.play;
  return (
    needOfTasks(each, guests) ??
    (bringsVars(each, inventory, guests)
      ? `play "${name}": groups that its tasks make may bring vars`
      : goesOtherWays(each, plays)
        ? `play "${name}": it reaches its hosts in another way than another play does`
        : undefined)
  );
}

/**
 * Return why a play is carried out from here: it asks for files, programs or lookups of this machine, or its hosts ask for
 * each other, or are known only once the plays before it have ended.
 */
function needOfTasks(
  { play, hosts, mayJoin }: PlayHosts,
  guests: GuestRoles | undefined,
): string | undefined {
  if (mayJoin !== undefined) return `play "${play.name}": tasks before it may add hosts to it`;
  if (hosts.length === 0) return undefined;
  const role = play.roles.find(({ role }) => role.delegates === true);
  if (role !== undefined) return `role ${role.role.name} works on other machines, too`;
  const program = play.program ?? guests;
  return program?.needsController ?? (hosts.length > 1 ? program?.needsOthers : undefined);
}

/** Return whether plays in YAML reach hosts of this one in different ways: each host has one connection, and others are opened from here. */
function goesOtherWays({ play, hosts }: PlayHosts, plays: readonly PlayHosts[]): boolean {
  if (play.program === undefined) return false;
  const others = plays.filter(
    (each) =>
      each.play.program !== undefined &&
      each.play !== play &&
      each.hosts.some((host) => hosts.includes(host)),
  );
  const keys = ["connection", "remoteUser", "port", "becomeMethod", "becomeExe", "becomeFlags"] as const;
  return keys.some((key) =>
    others.some(
      ({ play: other }) => play[key] !== undefined && other[key] !== undefined && other[key] !== play[key],
    ),
  );
}

/** Return whether groups that tasks of a play may make bring vars: only the controller has these. */
function bringsVars(
  { play, hosts }: PlayHosts,
  { groups, spareVars = new Set() }: Inventory,
  guests: GuestRoles | undefined,
): boolean {
  const made = (play.program ?? guests)?.makesGroups;
  if (hosts.length === 0 || made === undefined) return false;
  const parents = new Set(
    [...groups.values()].flatMap(({ name, children }) => (name === "all" ? [] : children)),
  );
  const withVars = [...groups.values()]
    .filter(({ name, vars }) => name !== "all" && (Object.keys(vars).length > 0 || parents.has(name)))
    .map(({ name }) => name);
  return made.some((written) => {
    const glob = setGlobPieces(written, "fnmatch");
    return [...spareVars, ...withVars].some((name) => matchesGlob(glob, name));
  });
}

/** Return whether the plays ask nothing of their hosts, some of which are other machines. */
function needsNobody({ plays, hosts }: OpenHostPlan): boolean {
  const isAway = hosts.some(({ connection }) => connection.connection !== "local");
  if (!isAway && plays.every(({ mayJoin }) => mayJoin === undefined)) return false;
  return plays.every(
    ({ play, hosts, mayJoin }) =>
      (hosts.length === 0 && mayJoin === undefined) || play.program?.asksNoHost === true,
  );
}

/** Return whether a play in YAML has hosts. The facts that it finds are kept here, for later runs. */
function isOfProgram({ play, hosts }: PlayHosts): boolean {
  return play.program !== undefined && hosts.length > 0;
}
