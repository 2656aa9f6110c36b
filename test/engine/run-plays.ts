import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEffects, type EffectsOptions } from "../../src/agent/effects.ts";
import { openState } from "../../src/agent/state-store.ts";
import { createDiskAssets } from "../../src/bundle/assets.ts";
import { PLAYBOOK_ROLE } from "../../src/core/asset.ts";
import type { TargetEvent } from "../../src/core/events.ts";
import type { Facts } from "../../src/core/facts.ts";
import { definePlaybook, type Play } from "../../src/core/playbook.ts";
import {
  type Job,
  type JobOptions,
  PROTOCOL_VERSION,
  type Question,
  questionKey,
} from "../../src/core/protocol.ts";
import { defineRole, type RoleDefinition, type RoleUse } from "../../src/core/role.ts";
import { type JobEnd, runJob } from "../../src/engine/engine.ts";
import { createRenderer } from "../../src/engine/render.ts";
import { createLocalSystem } from "../../src/system/local/local-system.ts";
import { createTemplates } from "../../src/template/index.ts";

/** A directory for one test, removed at its end. */
export interface Workplace {
  readonly directory: string;
  /** Where roles made by {@link roleOf} have their `files` and `templates`. */
  readonly role: string;
  path(name: string): string;
  [Symbol.dispose](): void;
}

/** Makes a workplace. */
export function makeWorkplace(): Workplace {
  const base = mkdtempSync(join(tmpdir(), "volley-target-"));
  const directory = join(base, "work");
  const role = join(base, "role");
  for (const path of [directory, role]) mkdirSync(path);
  return {
    directory,
    role,
    path: (name) => join(directory, name),
    [Symbol.dispose]: () => rmSync(base, { recursive: true, force: true }),
  };
}

/** How plays are run by {@link runPlays}. */
export interface RunOptions {
  readonly options?: Partial<JobOptions>;
  readonly job?: Partial<Omit<Job, "options">>;
  readonly roleDirectory?: string;
  /** The directory of the playbook's own `files` and `templates`. Default: none. */
  readonly playbookDirectory?: string;
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly waitForOthers?: (play: number) => Promise<boolean>;
  /** Answers a question, by its key. */
  readonly ask?: (key: string) => ReturnType<NonNullable<EffectsOptions["ask"]>>;
  readonly leftovers?: NonNullable<EffectsOptions["leftovers"]>;
  readonly earlier?: NonNullable<EffectsOptions["earlier"]>;
  /** The state store's directory, which exists. */
  readonly state?: string;
  readonly survivesRestart?: boolean;
  readonly cancel?: AbortSignal;
  readonly kill?: AbortSignal;
  readonly onEvent?: (event: TargetEvent) => void;
}

/** Events of one type. */
export type EventOf<T extends TargetEvent["type"]> = Extract<TargetEvent, { readonly type: T }>;

/** The outcome of a run. */
export interface PlaysRun extends JobEnd {
  readonly events: readonly TargetEvent[];
  readonly questions: readonly Question[];
  /** Whole results that were shared with other hosts. */
  readonly shared: readonly string[];
  of<T extends TargetEvent["type"]>(type: T): readonly EventOf<T>[];
  /** `state role name`, as the tasks ended. */
  readonly ended: readonly string[];
  /** How the task of this name ended. */
  task(name: string): EventOf<"task:end">["result"];
}

/** A role used without vars; its assets lie in the workplace's role directory. */
export function roleOf(
  name: string,
  tasks: RoleDefinition<never, string, unknown>["tasks"],
  rest: object = {},
): RoleUse {
  return defineRole({ name, tasks, ...rest } as RoleDefinition<never, string, unknown>, "role")();
}

/** Runs plays on this machine with the real executor, system, actions and templates. */
export async function runPlays(plays: readonly Play[], given: RunOptions = {}): Promise<PlaysRun> {
  const playbook = definePlaybook(plays);
  const events: TargetEvent[] = [];
  const questions: Question[] = [];
  const shared: string[] = [];
  const system = createLocalSystem();
  const assets = createDiskAssets((role) =>
    role === PLAYBOOK_ROLE ? given.playbookDirectory : given.roleDirectory,
  );
  const never = new AbortController().signal;
  const job: Job = {
    protocol: PROTOCOL_VERSION,
    host: "web1",
    groups: ["web"],
    vars: {},
    inventoryGroups: { web: ["web1"] },
    hostVars: {},
    plays: plays.map((_, index) => index),
    ...given.job,
    options: { check: false, diff: false, tags: [], skipTags: [], barriers: false, ...given.options },
  };
  const effects = createEffects({
    job,
    system,
    facts: { ...given.facts } as unknown as Facts,
    assets,
    ...createRenderer(assets, () => createTemplates),
    emit: (event) => {
      events.push(event);
      given.onEvent?.(event);
    },
    waitForOthers: given.waitForOthers ?? (async () => true),
    ...(given.ask === undefined
      ? {}
      : {
          ask: (question: Question) => {
            questions.push(question);
            return given.ask!(questionKey(question));
          },
          share: (_task: number, whole: string) => void shared.push(whole),
        }),
    ...(given.leftovers === undefined ? {} : { leftovers: given.leftovers }),
    ...(given.earlier === undefined ? {} : { earlier: given.earlier }),
    ...(given.state === undefined ? {} : { state: openState(given.state) }),
    survivesRestart: given.survivesRestart ?? false,
    cancel: given.cancel ?? never,
    kill: given.kill ?? never,
  });
  const end = await runJob(playbook, job, effects);
  system.close();
  const of = <T extends TargetEvent["type"]>(type: T): readonly EventOf<T>[] =>
    events.filter((event): event is EventOf<T> => event.type === type);
  return {
    ...end,
    events,
    questions,
    shared,
    of,
    ended: of("task:end").map(
      ({ role, name, result }) => `${result.unknown ? "unknown" : result.state} ${role} ${name}`,
    ),
    task: (name) => {
      const found = of("task:end").find((event) => event.name === name);
      if (found === undefined) throw new Error(`no task "${name}" ended`);
      return found.result;
    },
  };
}

/** Runs one play with one role made of these tasks. */
export function runTasks(
  tasks: RoleDefinition<never, string, unknown>["tasks"],
  given: RunOptions & { readonly handlers?: object } = {},
): Promise<PlaysRun> {
  const { handlers, ...rest } = given;
  return runPlays(
    [{ hosts: "all", roles: [roleOf("r", tasks, handlers === undefined ? {} : { handlers })] }],
    rest,
  );
}

/** Return the totals told, in order, as a progress bar shows them. */
export function totals({ events }: PlaysRun): readonly number[] {
  return events.flatMap((event) =>
    event.type === "play:start" || event.type === "play:plan" ? [event.total] : [],
  );
}
