import { VolleyError } from "../core/errors.ts";
import type { GuestRoles } from "../core/program.ts";
import { plain, type Vars } from "../core/values/vars.ts";
import type { AnsibleGuest, AnsibleGuests, GuestEnd } from "../engine/guest-types.ts";
import { GuestWatch } from "../engine/guest-watch.ts";
import type { AnsibleGuestHost } from "../engine/program.ts";
import type { RoleInstance } from "./frame.ts";
import { setupFacts } from "./host-state.ts";
import { Interpreter } from "./interpreter.ts";
import type { Keys, PlaybookTree, PlayNode, RoleFrom, RoleUseNode } from "./ir.ts";
import { moduleFaults } from "./module-names.ts";
import { createModules } from "./modules/registry.ts";
import { PlayRun } from "./play/play.ts";
import { outlineRole } from "./static/outline.ts";
import { fillTree } from "./vaulted.ts";

// Roles in Ansible's YAML that a play in TypeScript uses: the interpreter carries them out, as in a play of its own.

/** Make the roles of a tree ready for plays in TypeScript. */
export function guestRoles(tree: PlaybookTree, volley: Readonly<Record<string, unknown>>): GuestRoles {
  return {
    get faults() {
      return moduleFaults(tree, createModules(volley));
    },
    ...(tree.needs.controller === undefined ? {} : { needsController: tree.needs.controller }),
    ...(tree.needs.others === undefined ? {} : { needsOthers: tree.needs.others }),
    ...(tree.needs.makesGroups === undefined ? {} : { makesGroups: tree.needs.makesGroups }),
    ...(tree.needs.readsHosts === true ? { readsHosts: true } : {}),
    outline: (use, tags) => outlineRole(tree, useNode(tree, { use, tags, become: undefined })),
    open: (host: AnsibleGuestHost) => openGuests(fillTree(tree, host.job), volley, host),
  };
}

function useNode(tree: PlaybookTree, { use, tags, become }: AnsibleGuest): RoleUseNode {
  const { name, vars, from } = use.role.ansible!;
  const role = tree.roleNames[name];
  if (role === undefined)
    throw new VolleyError("PLAYBOOK_INVALID", `the role "${name}" is not among the playbook's roles`, {
      hint: 'the build looks for names that stand in the call: write ansibleRole("NAME")',
    });
  const keys: Keys = {
    tags,
    ...(become === undefined ? {} : { become: become !== false }),
    ...(typeof become === "string" ? { become_user: become } : {}),
  };
  return { at: tree.file, name, role, params: vars, keys, from: from as RoleFrom };
}

/** The role in TypeScript that includes one, as that role sees it: the code that was a role in YAML tells its vars. */
function parentsOf({ use }: AnsibleGuest, { file }: PlaybookTree): readonly RoleInstance[] {
  const { around, parent } = use.role.ansible!;
  if (around === undefined) return [];
  const { defaults, vars, given, params } = around;
  const node = { name: parent ?? "", path: ".", dependencies: [], allowDuplicates: true, argumentSpecs: {} };
  return [
    {
      node,
      use: { at: file, name: node.name, params, keys: {}, from: {} },
      ...{ defaults, vars, given, params, dependencies: [], parents: [] },
    },
  ];
}

function openGuests(
  tree: PlaybookTree,
  volley: Readonly<Record<string, unknown>>,
  host: AnsibleGuestHost,
): AnsibleGuests {
  const watch = new GuestWatch();
  let onPlan: () => void = () => {};
  let isBroken = false;
  const interpreter = new Interpreter(tree, playNode(tree, host), createModules(volley), {
    ...host,
    planned: () => onPlan(),
    perform: async (task) => {
      const ended = await host.perform(task);
      watch.note(ended);
      return ended;
    },
  });
  const { state } = interpreter;
  // The play has gathered them.
  if (!state.isGathered) {
    state.addFacts(setupFacts(host.facts));
    state.isGathered = true;
  }
  // Hosts come to a guest when their own code does.
  interpreter.steps.goFree();
  const play = new PlayRun(interpreter, host.around);
  /** The roles that are still to come. */
  const instances = new Map<AnsibleGuest, RoleInstance>();
  const take = (guest: AnsibleGuest): RoleInstance => {
    const role = instances.get(guest)!;
    instances.delete(guest);
    return role;
  };
  const end = async (
    work: Promise<{ readonly failed: boolean; readonly cancelled: boolean }>,
  ): Promise<GuestEnd> => {
    const ended = await work;
    if (ended.failed || ended.cancelled) isBroken = true;
    return { ...watch.take(ended), vars: plain({ ...state.learned }) as Vars };
  };
  return {
    declare: (guest) => void instances.set(guest, play.addRole(useNode(tree, guest), parentsOf(guest, tree))),
    skip: (guest) => play.passOver(take(guest)),
    run: async (guest, tell) => {
      onPlan = tell;
      const { once = false, around, public: isPublic } = guest.use.role.ansible!;
      if (around !== undefined) {
        state.addFacts(around.facts);
        state.include(around.included);
        state.learn(around.learned);
      }
      const role = take(guest);
      const ended = await end(play.runRole(role, once));
      return isPublic === true ? { ...ended, vars: { ...play.varsOf(role), ...ended.vars } } : ended;
    },
    flush: (tell) => {
      onPlan = tell;
      return end(play.runHandlers());
    },
    notify: (name) => play.handlers.notifyFrom(name),
    get handlers() {
      return play.handlers.names;
    },
    get waiting() {
      return play.waiting;
    },
    close: () => ({
      notExecuted: isBroken || instances.size > 0 ? play.waiting : 0,
      // As in Ansible, the next run knows nothing of them.
      pending: [],
    }),
  };
}

/** The play in YAML that the roles are in. */
function playNode({ file }: PlaybookTree, { play: { name, hosts, vars = {} } }: AnsibleGuestHost): PlayNode {
  return {
    at: file,
    name,
    hosts,
    keys: {},
    vars,
    roles: [],
    preTasks: [],
    tasks: [],
    postTasks: [],
    handlers: [],
    file,
    base: ".",
  };
}
