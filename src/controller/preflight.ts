import type { ActionCall } from "../core/action.ts";
import { type AssetStore, searchTree } from "../core/asset.ts";
import { isVolleyError } from "../core/errors.ts";
import type { Facts } from "../core/facts.ts";
import type { Host } from "../core/inventory.ts";
import type { PlayDefinition } from "../core/playbook.ts";
import type { RoleContext, RoleUse, TaskHandle, TaskOptions, TasksContext } from "../core/role.ts";
import { findAsset } from "../engine/action-context.ts";
import { checkNotify, checkTask, notifyList } from "../engine/check-task.ts";
import { type ForeseenVars, foreseeRoleVars } from "./preflight-vars.ts";
import { silenceConsole } from "./silence-console.ts";
import { unknowable } from "./unknowable.ts";

/** What the checks before a run look at. */
export interface PreflightOptions {
  readonly plays: readonly { readonly play: PlayDefinition; readonly hosts: readonly Host[] }[];
  readonly assets: AssetStore;
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly check: boolean;
}

/**
 * Finds what can be found wrong before any host is touched: vars that do not fit their role (for every host), and,
 * for one host of each play, wrong parameters of actions and assets that are not there, as far as its roles declare
 * their tasks without asking the host anything. Gives the hosts whose vars only a run knows: they are passed over.
 */
export async function preflight({
  plays,
  assets,
  groups,
  check,
}: PreflightOptions): Promise<ReadonlySet<string>> {
  const passedOver = new Set<string>();
  for (const { play, hosts } of plays) {
    /** By role, how many hosts it has been declared for, until all that it asked for was known. */
    const declared = new Map<RoleUse, number>();
    for (const host of hosts) {
      for (const use of play.roles) {
        const foreseen = await foreseeRoleVars(use, host, play.vars ?? {}, groups);
        const tries = declared.get(use) ?? 0;
        if (tries < MAX_TRIES) {
          await declareRole(use, foreseen, host, { assets, groups, check });
          declared.set(use, foreseen.isShort() ? tries + 1 : MAX_TRIES);
        }
        if (foreseen.isShort()) passedOver.add(host.name);
      }
    }
  }
  return passedOver;
}

/** For how many hosts a role is declared whose vars only a run knows, in search of one where they are known now. */
const MAX_TRIES = 3;

async function declareRole(
  use: RoleUse,
  { vars, hostVars }: ForeseenVars,
  host: Host,
  { assets, groups, check }: Pick<PreflightOptions, "assets" | "groups" | "check">,
): Promise<void> {
  const context: RoleContext = {
    vars,
    facts: unknowable<Facts>(),
    host: { name: host.name, groups: host.groups, vars: hostVars },
    groups,
    hostVars: unknowable(),
    check,
  };
  const directory = use.role.directory ?? use.role.name;
  const look = (call: unknown): void => {
    if (typeof call === "object" && call !== null) findMissingAsset(call as ActionCall, directory, assets);
  };
  const tasksContext: TasksContext = {
    ...context,
    task: ((name: string, call: unknown, options?: TaskOptions) => {
      checkTask(use.role.name, name, call, options);
      // What other roles' handlers are called, may be known to the host only.
      const own = notifyList(options?.notify).filter((handler) => !handler.includes(":"));
      checkNotify(use.role.name, name, own, handlerNames, []);
      look(call);
      return unknowable<TaskHandle>();
    }) as TasksContext["task"],
    system: unknowable(),
    flushHandlers: () => {},
    log: () => {},
  };
  let handlerNames: readonly string[] = [];
  // What it prints it prints on the host, where secrets are masked.
  const restoreConsole = silenceConsole();
  try {
    const { handlers } = use.role;
    const declared: unknown = typeof handlers === "function" ? handlers(context) : handlers;
    handlerNames = Object.keys(declared ?? {});
    for (const spec of Object.values(declared ?? {})) for (const call of [spec].flat()) look(call);
    if (use.role.facts !== undefined) return;
    // Only what it declares before it waits for anything real.
    await Promise.race([use.role.tasks(tasksContext), new Promise((resolve) => setImmediate(resolve))]);
  } catch (thrown) {
    // Only what Volley itself says is certain here: other errors may be of this machine, not of the host.
    if (isVolleyError(thrown)) throw thrown;
  } finally {
    restoreConsole();
  }
}

function findMissingAsset({ action, params }: ActionCall, role: string, assets: AssetStore): void {
  const { src, remote_src: remote } = params;
  if (typeof src !== "string" || remote === true || src.startsWith("/")) return;
  if (action === "template") findAsset(assets, role, "templates", src);
  else if ((action === "copy" || action === "unarchive" || action === "script") && !/^\w+:\/\//.test(src)) {
    if (searchTree(assets, role, "files", src) === null) findAsset(assets, role, "files", src);
  }
}
