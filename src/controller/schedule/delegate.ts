import pLimit from "p-limit";
import { type ActionCall, createMemo } from "../../core/action.ts";
import type { AssetStore } from "../../core/asset.ts";
import { serializeError, VolleyError } from "../../core/errors.ts";
import type { ControllerEvent, ReceivedEvent } from "../../core/events.ts";
import type { Facts } from "../../core/facts.ts";
import type { Playbook } from "../../core/playbook.ts";
import { type Command, type Job, questionKey } from "../../core/protocol.ts";
import type { Result } from "../../core/result.ts";
import type { AnyRole } from "../../core/role.ts";
import { restoreVars, type Vars } from "../../core/values/vars.ts";
import {
  createActionContext,
  declareRoles,
  hostVariables,
  roleVariables,
  taskVariables,
} from "../../engine/context.ts";
import { foresee } from "../../engine/handle.ts";
import { RENDER_BESIDE_OTHERS_MS, withTimeLimit } from "../../engine/limits.ts";
import { performAction } from "../../engine/perform.ts";
import { createRenderer, type Renderer } from "../../engine/render.ts";
import type { DeclaredTask, RoleRun } from "../../engine/role.ts";
import { extendScope } from "../../vars/scope.ts";
import { writeWhole } from "../../vars/whole-value.ts";
import { silenceConsole, unknowable } from "../prepare/preflight.ts";
import { refuseLeft } from "../queued/left-secrets.ts";
import type { AskedEvent } from "../records/recall.ts";

/** Delegated actions performed at a time. */
const AT_A_TIME = 8;
const DEFAULT_TRIES = 4;

type Asked = Extract<ControllerEvent, { type: "task:delegate" }>;

/** Options of performing delegated actions. */
export interface DelegateOptions {
  readonly playbook: Playbook;
  readonly assets: AssetStore;
  jobOf(host: string): Job | undefined;
  tell(host: string, command: Command): void;
  /** Events of an earlier controller of this run. */
  readonly earlier: readonly AskedEvent[];
  /** Its abort ends the running actions. */
  readonly signal: AbortSignal;
}

/** A task as declared here, with the means to perform its action. */
interface Found {
  readonly task: DeclaredTask;
  readonly role: RoleRun;
  readonly variables: Vars;
  readonly renderer: Renderer;
}

/**
 * Make the function that performs delegated actions and answers the hosts. A host only names a task: the action comes
 * from the playbook, evaluated here for that host. Each try of each item is performed once, however often a host asks.
 */
export function createDelegates(options: DelegateOptions): (event: ReceivedEvent | ControllerEvent) => void {
  const { signal, tell, earlier } = options;
  const limit = pLimit(AT_A_TIME);
  const answers = new Map<string, Promise<Result>>();
  const declared = new Map<string, Promise<readonly Found[]>>();
  const declaring = pLimit(1);
  const declare: Declare = (event) => {
    const key = JSON.stringify([event.host, event.index, event.role]);
    // Declare one role at a time, because each declaration silences the process's only `console`.
    const tasks = declared.get(key) ?? declaring(() => declareHere(event, options));
    declared.set(key, tasks);
    return tasks;
  };
  for (const event of earlier) {
    if (event.type === "task:delegate") answers.set(keyOf(event), Promise.resolve(INTERRUPTED));
  }
  const answer = (event: Asked): Promise<Result> => {
    const key = keyOf(event);
    const known = answers.get(key) ?? limit(() => perform(event, options, declare));
    answers.set(key, known);
    return known;
  };
  return (event) => {
    if (event.type !== "task:delegate") return;
    void answer(event).then((result) => {
      const question = questionKey({ kind: "delegate", ...event });
      const { data: _data, diff: _diff, ...told } = result;
      if (!signal.aborted)
        tell(event.host, { type: "answer", question, result: told, whole: writeWhole(result) });
    });
  };
}

const INTERRUPTED: Result = {
  state: "failed",
  error: {
    code: "CANCELLED",
    message: "the controller was ended while it did this: whether it was done is not known",
  },
};

function keyOf({ host, index, role, name, nth, item, attempt }: Asked): string {
  return JSON.stringify([host, index, role, name, nth, item, attempt]);
}

/** Return the delegated tasks of the role that a question names, as declared here for its host. */
type Declare = (event: Asked) => Promise<readonly Found[]>;

async function perform(event: Asked, options: DelegateOptions, declare: Declare): Promise<Result> {
  try {
    const { action, found, item } = find(event, await declare(event));
    const { role, variables, renderer, task } = found;
    refuseLeft(writeWhole(action.params));
    const [{ createLocalSystem }, { gatherFacts }, { thisMachine }] = await Promise.all([
      import("../../system/local/local-system.ts"),
      import("../../agent/facts/gather.ts"),
      import("../../agent/facts/sources.ts"),
    ]);
    const system = createLocalSystem();
    try {
      const { use } = role;
      const facts = await gatherFacts(system, process.env, thisMachine);
      const contextOf = (ends: AbortSignal) =>
        createActionContext({
          role: use.role.directory ?? use.role.name,
          vars: extendScope(variables, restoreVars(taskVariables(task.options.vars ?? {}, item))),
          facts,
          check: task.options.check ?? role.context.check,
          signal: ends,
          memo: createMemo(),
          assets: options.assets,
          render: (...asked) => {
            const text = renderer.render(...asked);
            refuseLeft(text);
            return text;
          },
          output: () => {},
        });
      const seconds = event.limitMs === undefined ? undefined : event.limitMs / 1_000;
      const result = await withTimeLimit(seconds, options.signal, system, async (ends, limited) => {
        return (await performAction(action, limited, contextOf(ends))).result;
      });
      const { message } = result;
      return { ...result, message: message === undefined ? HERE : `${HERE}: ${message}` };
    } finally {
      system.close();
    }
  } catch (thrown) {
    return { state: "failed", error: serializeError(thrown) };
  }
}

const HERE = "on the controller";

/** Find the action that a host asks for, as declared here. Fails with `DELEGATE_REFUSED`. */
function find(
  { host, role, name, nth, item, attempt }: Asked,
  tasks: readonly Found[],
): { readonly action: ActionCall; readonly found: Found; readonly item: readonly unknown[] } {
  const found = tasks.filter(({ task }) => task.name === name)[nth - 1];
  if (found === undefined)
    throw refused(`no task "${name}" of role "${role}" is found declared for ${host} by the controller`);
  const { call, options: taskOptions } = found.task;
  const { loop, retries, until } = taskOptions;
  if (attempt > (until === undefined && retries === undefined ? 1 : (retries ?? DEFAULT_TRIES - 1) + 1))
    throw refused(`${host} asks for more tries of "${name}" than it has`);
  const items = loop === undefined ? [undefined] : [...loop];
  if (item >= items.length) throw refused(`${host} asks for an item of "${name}" that it does not have`);
  const action = typeof call === "function" ? call(items[item]) : call;
  return { action, found, item: loop === undefined ? [] : [items[item]] };
}

function refused(message: string): VolleyError {
  return new VolleyError("DELEGATE_REFUSED", message, {
    hint: "declare what is delegated before any `await`, without asking for facts or what other tasks found out",
  });
}

function withoutFacts({ facts: _facts, ...role }: AnyRole): AnyRole {
  return role;
}

/** Declare a role's tasks for a host up to what only the host knows; returns the delegated ones in order. */
async function declareHere(event: Asked, options: DelegateOptions): Promise<readonly Found[]> {
  const { host, index, role: name } = event;
  const { playbook, assets, jobOf, signal } = options;
  const job = jobOf(host);
  const play = playbook.plays[index];
  if (job === undefined || play === undefined || !job.plays.includes(index))
    throw refused(`${host} asks for a task of a play that it is not in`);
  const { createTemplates } = await import("../../template/index.ts");
  const renderer = createRenderer(assets, () => createTemplates, { limitMs: RENDER_BESIDE_OTHERS_MS });
  // The host's facts are not known here: a template that needs one fails.
  const hostVars = hostVariables(job, {} as Facts, renderer.renderVar);
  const restoreConsole = silenceConsole();
  let roles: readonly RoleRun[];
  try {
    roles = await foresee(() =>
      declareRoles({
        // A role's own facts also come from the host.
        play: { ...play, roles: play.roles.map((use) => ({ ...use, role: withoutFacts(use.role) })) },
        job,
        hostVars,
        facts: unknowable<Facts>(),
        systemOf: () => unknowable(),
        cancel: signal,
        log: () => {},
        templatesOf: renderer.templatesOf,
      }),
    );
  } finally {
    restoreConsole();
  }
  return roles
    .filter(({ use }) => use.role.name === name)
    .flatMap((role) => {
      const variables = roleVariables(hostVars, play.vars ?? {}, role.use, role.context.vars);
      return role.declared
        .filter(({ options: { delegateTo } }) => delegateTo === "controller")
        .map((task) => ({ task, role, variables, renderer }));
    });
}
