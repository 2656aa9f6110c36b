import { posix } from "node:path";
import { readBool } from "../actions/coerce.ts";
import {
  type BatchSize,
  isPlaybook,
  type Playbook,
  type PlayDefinition,
  type PlayOrder,
} from "../core/playbook.ts";
import type { Vars } from "../core/values/vars.ts";
import type { VaultedValue } from "../core/values/vaulted.ts";
import type { ProgramHost } from "../engine/program.ts";
import { holdsTemplate } from "../vars/scope.ts";
import { decodeWhole } from "../vars/whole-value.ts";
import { guestRoles } from "./guests.ts";
import { Interpreter } from "./interpreter.ts";
import type { Keys, PlaybookTree, PlayNode, ScriptRoles, TreeSettings } from "./ir.ts";
import { reservedNames } from "./keywords.ts";
import { moduleFaults } from "./module-names.ts";
import { createModules } from "./modules/registry.ts";
import { PlayRun } from "./play/play.ts";
import { countTasks, outlinePlay } from "./static/outline.ts";
import { promptsOf } from "./static/prompts.ts";
import { asksNoHost, waitOf } from "./static/tasks.ts";
import { fillTree, fillVaulted } from "./vaulted.ts";

/**
 * Make the playbook of a tree, which the loader wrote with {@link encodeWhole}, with what it found out later in `more`. `volley` is the module whose actions the
 * tasks' modules stand for.
 */
export function ansiblePlaybook(
  written: unknown,
  volley: Readonly<Record<string, unknown>>,
  more: Pick<PlaybookTree, "asksForPython"> = {},
  scripts: ScriptRoles = {},
): Playbook {
  const tree = { ...(decodeWhole(written) as PlaybookTree), ...more };
  return { plays: tree.plays.map((play) => definePlay(tree, play, volley, scripts)) };
}

/** Add the roles of a tree to a playbook in TypeScript that uses them. */
export function withAnsibleRoles(
  playbook: unknown,
  written: unknown,
  volley: Readonly<Record<string, unknown>>,
  more: Pick<PlaybookTree, "asksForPython"> = {},
): unknown {
  if (!isPlaybook(playbook)) return playbook;
  const tree = { ...(decodeWhole(written) as PlaybookTree), ...more };
  return { ...playbook, guests: guestRoles(tree, volley) };
}

function definePlay(
  tree: PlaybookTree,
  play: PlayNode,
  volley: Readonly<Record<string, unknown>>,
  scripts: ScriptRoles,
): PlayDefinition {
  const { keys } = play;
  const prompts = promptsOf(keys);
  const templated = Object.entries(keys).filter(([name, value]) => HEEDED.test(name) && holdsTemplate(value));
  const names = play.name.includes("{{") && play.name !== play.hosts ? { name: play.name } : {};
  const isFatal = tree.settings.anyErrorsFatal === true;
  const others = tree.needs.others ?? (isFatal ? "any_errors_fatal is set for all plays" : undefined);
  return {
    name: play.name,
    hosts: play.hosts,
    roles: [],
    ...schedule(keys, tree.settings),
    ...(Array.isArray(keys.tags) ? { tags: keys.tags.map(String) } : {}),
    // Asked for by the controller alone.
    get waitForConnection() {
      return waitOf(tree, play);
    },
    program: {
      ...(prompts.length === 0 ? {} : { prompts }),
      templates: {
        at: play.at,
        keys: { ...Object.fromEntries(templated), ...names },
        vars: (vaulted) => [known(play.vars, vaulted), known(varsOfFiles(tree, play), vaulted)],
        debugger: tree.needs.debugger,
        get reserved() {
          const roles = play.roles.flatMap(({ role }) =>
            ["defaults", "vars"].flatMap((kind) => {
              const found = [".yml", ".yaml", ""].map(
                (end) => tree.vars[posix.join(role ?? "", kind, `main${end}`)],
              );
              return found.flatMap((file) =>
                file !== undefined && "content" in file ? Object.keys(file.content) : [],
              );
            }),
          );
          return reservedNames([...Object.keys(play.vars), ...prompts.map(({ name }) => name), ...roles]);
        },
        settle: ({ name = play.name, ...values }) => ({
          ...schedule({ ...keys, ...values }, tree.settings),
          name: String(name),
        }),
      },
      get outline() {
        return outlinePlay(tree, play, scripts);
      },
      get faults() {
        return moduleFaults(tree, createModules(volley));
      },
      roles: play.roles.map(({ name }) => name),
      ...(tree.needs.controller === undefined ? {} : { needsController: tree.needs.controller }),
      ...(others === undefined ? {} : { needsOthers: others }),
      get asksNoHost() {
        return asksNoHost(tree, play);
      },
      ...(tree.needs.addsHosts === true ? { addsHosts: true } : {}),
      ...(tree.needs.makesGroups === undefined ? {} : { makesGroups: tree.needs.makesGroups }),
      ...(tree.needs.readsHosts === true ? { readsHosts: true } : {}),
      estimate: countTasks([...play.preTasks, ...play.tasks, ...play.postTasks]),
      run: async (host: ProgramHost) => {
        const [filled, own] = [fillTree(tree, host.job), fillVaulted(play, host.job.vaulted)];
        return await new PlayRun(new Interpreter(filled, own, createModules(volley), host, scripts)).run();
      },
    },
  };
}

/** The keywords that {@link schedule} reads. */
const HEEDED =
  /^(?:serial|max_fail_percentage|any_errors_fatal|order|throttle|strategy|connection|remote_user|port|become_(?:method|exe|flags))$/;

/** The vars whose encrypted parts are known. */
function known(vars: Vars, vaulted: readonly VaultedValue[] | undefined): Vars {
  const entries = Object.entries(vars).flatMap(([name, value]) => {
    try {
      return [[name, fillVaulted(value, vaulted)]];
    } catch {
      return [];
    }
  });
  return Object.fromEntries(entries) as Vars;
}

/** The vars of the files of a play that are named without templates. */
function varsOfFiles({ vars }: PlaybookTree, { keys, file, base }: PlayNode): Vars {
  const places = [posix.dirname(file), base].flatMap((place) => [posix.join(place, "vars"), place]);
  const contents = [keys.vars_files].flat().map((entry) => {
    const names = [entry].flat().map(String);
    const found = names
      .flatMap((name) => places.map((place) => posix.join(place, name)))
      .map((path) => vars[path])
      .find((each) => each !== undefined && "content" in each);
    return found !== undefined && "content" in found ? found.content : {};
  });
  return Object.assign({}, ...contents) as Vars;
}

/** A keyword that is a text, and no template. */
function textUnder<K extends string>(name: K, value: unknown): { readonly [N in K]?: string } {
  const isText = typeof value === "string" && value !== "" && !value.includes("{{");
  return (isText ? { [name]: value } : {}) as { readonly [N in K]?: string };
}

/** Read the keywords that the controller heeds, where they are no templates. */
function schedule(keys: Keys, settings: TreeSettings): Partial<PlayDefinition> {
  const { connection, remote_user: remoteUser, port, become_user: user } = keys;
  const become = readBool(keys.become);
  const {
    serial,
    max_fail_percentage: maxFail,
    any_errors_fatal: anyFatal,
    order,
    throttle,
    strategy = settings.strategy,
  } = keys;
  const sizes = (serial === undefined || serial === null ? [] : [serial].flat()).flatMap(
    (size): BatchSize[] => {
      if (typeof size === "string" && /^\d+(?:\.\d+)?%$/.test(size)) return [size as BatchSize];
      const number = Number(size);
      return Number.isInteger(number) && number >= 1 ? [number] : [];
    },
  );
  const share = Number.parseFloat(String(maxFail));
  return {
    ...(become === undefined
      ? {}
      : { become: become && typeof user === "string" && !user.includes("{{") ? user : become }),
    ...(typeof connection === "string" && !connection.includes("{") ? { connection } : {}),
    ...(typeof remoteUser === "string" ? { remoteUser } : {}),
    ...(Number(port) >= 1 ? { port: Number(port) } : {}),
    ...textUnder("becomeMethod", keys.become_method),
    ...textUnder("becomeExe", keys.become_exe),
    ...textUnder("becomeFlags", keys.become_flags),
    ...(sizes.length === 0 ? {} : { serial: sizes }),
    ...(Number.isNaN(share) ? {} : { maxFailPercentage: share }),
    ...(readBool(anyFatal) === true ? { anyErrorsFatal: true } : {}),
    ...(typeof order === "string" && !order.includes("{{") ? { order: order as PlayOrder } : {}),
    ...(Number(throttle) >= 1 ? { throttle: Number(throttle) } : {}),
    ...(strategy === "free" || strategy === "host_pinned" ? { strategy: "free" as const } : {}),
  };
}
