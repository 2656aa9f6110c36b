import { readBool } from "../actions/coerce.ts";
import {
  type BatchSize,
  isPlaybook,
  type Playbook,
  type PlayDefinition,
  type PlayOrder,
} from "../core/playbook.ts";
import type { ProgramHost } from "../engine/program.ts";
import { decodeWhole } from "../vars/whole-value.ts";
import { guestRoles } from "./guests.ts";
import { Interpreter } from "./interpreter.ts";
import type { PlaybookTree, PlayNode, ScriptRoles, TreeSettings } from "./ir.ts";
import { moduleFaults } from "./module-names.ts";
import { createModules } from "./modules/registry.ts";
import { countTasks, outlinePlay } from "./outline.ts";
import { PlayRun } from "./play/play.ts";
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
  const { connection, remote_user: remoteUser, port, tags, become_user: user } = keys;
  const become = readBool(keys.become);
  const isFatal = tree.settings.anyErrorsFatal === true;
  const others = tree.needs.others ?? (isFatal ? "any_errors_fatal is set for all plays" : undefined);
  return {
    name: play.name,
    hosts: play.hosts,
    roles: [],
    ...schedule(play, tree.settings),
    ...(become === undefined
      ? {}
      : { become: become && typeof user === "string" && !user.includes("{{") ? user : become }),
    ...(connection === "local" || connection === "ansible.builtin.local" ? { connection: "local" } : {}),
    ...(typeof remoteUser === "string" ? { remoteUser } : {}),
    ...(Number(port) >= 1 ? { port: Number(port) } : {}),
    ...(Array.isArray(tags) ? { tags: tags.map(String) } : {}),
    program: {
      get outline() {
        return outlinePlay(tree, play, scripts);
      },
      get faults() {
        return moduleFaults(tree, createModules(volley));
      },
      roles: play.roles.map(({ name }) => name),
      ...(tree.needs.controller === undefined ? {} : { needsController: tree.needs.controller }),
      ...(others === undefined ? {} : { needsOthers: others }),
      ...(tree.needs.addsHosts === true ? { addsHosts: true } : {}),
      ...(tree.needs.makesGroups === true ? { makesGroups: true } : {}),
      estimate: countTasks([...play.preTasks, ...play.tasks, ...play.postTasks]),
      run: async (host: ProgramHost) => {
        const [filled, own] = [fillTree(tree, host.job), fillVaulted(play, host.job.vaulted)];
        return await new PlayRun(new Interpreter(filled, own, createModules(volley), host, scripts)).run();
      },
    },
  };
}

/** The keywords that the controller heeds, where they are no templates. */
function schedule({ keys }: PlayNode, settings: TreeSettings): Partial<PlayDefinition> {
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
  return {
    ...(sizes.length === 0 ? {} : { serial: sizes }),
    ...(maxFail === undefined || Number.isNaN(Number(maxFail)) ? {} : { maxFailPercentage: Number(maxFail) }),
    ...(readBool(anyFatal) === true ? { anyErrorsFatal: true } : {}),
    ...(typeof order === "string" && !order.includes("{{") ? { order: order as PlayOrder } : {}),
    ...(Number(throttle) >= 1 ? { throttle: Number(throttle) } : {}),
    ...(strategy === "free" || strategy === "host_pinned" ? { strategy: "free" as const } : {}),
  };
}
