import type { AssetStore } from "../core/asset.ts";
import type { TargetEvent } from "../core/events.ts";
import type { Facts } from "../core/facts.ts";
import type { Answer, Job, Question } from "../core/protocol.ts";
import type { Result } from "../core/result.ts";
import type { System } from "../core/system.ts";
import type { Earlier, Effects, HostView, Leftovers, Reply } from "../engine/effects.ts";
import type { Renderer } from "../engine/render.ts";
import { maskToo } from "../engine/results.ts";
import { readWhole, writeWhole } from "../vars/whole-value.ts";
import { gatherUser } from "./facts/gather.ts";
import { createFactReader } from "./facts/sources.ts";
import type { StateStore } from "./state-store.ts";
import type { UserSystems } from "./users.ts";

/** The parts of a host's Effects, on the host or over a connection. */
export interface EffectsOptions {
  readonly job: Job;
  readonly system: System;
  /** Absent: everything is done as the user of this process. */
  readonly systems?: UserSystems;
  /** As the user of this process finds them. */
  readonly facts: Facts;
  /** Gather these facts anew. */
  gather?(): Promise<Facts>;
  readonly assets: AssetStore;
  readonly render: Renderer["render"];
  readonly renderVar: Renderer["renderVar"];
  readonly templatesOf: Renderer["templatesOf"];
  readonly makeTemplates: Renderer["makeTemplates"];
  readonly world?: Effects["world"];
  emit(event: TargetEvent): void;
  waitForOthers(play: number): Promise<boolean>;
  /** See {@link Wire.ask}. Absent without a controller. */
  ask?(question: Question): Promise<Answer | null | undefined>;
  /** See {@link Wire.share}. */
  share?(task: number, whole: string): void;
  readonly earlier?: Earlier;
  readonly state?: Omit<StateStore, "read" | "taken" | "untaken" | "forget">;
  readonly leftovers?: Leftovers;
  readonly survivesRestart?: boolean;
  readonly cancel: AbortSignal;
  readonly kill: AbortSignal;
}

/** Make the engine's Effects. */
export function createEffects(options: EffectsOptions): Effects {
  const {
    job,
    assets,
    render,
    renderVar,
    templatesOf,
    makeTemplates,
    emit,
    waitForOthers,
    ask,
    share,
    earlier,
    state,
    leftovers,
  } = options;
  return {
    view: createViews(options),
    assets,
    render,
    renderVar,
    templatesOf,
    makeTemplates,
    ...(options.world === undefined ? {} : { world: options.world }),
    emit,
    waitForOthers,
    ...(ask === undefined
      ? {}
      : {
          ask: async (question) => replyOf(await ask(question), job),
          share: (task, result) => {
            state?.share(task);
            share?.(task, writeWhole(result));
          },
        }),
    state: { ...state, earlier, leftovers },
    survivesRestart: options.survivesRestart === true,
    cancel: options.cancel,
    kill: options.kill,
  };
}

function replyOf(answer: Answer | null | undefined, job: Job): Reply {
  if (answer === undefined) return { kind: "gone" };
  if (answer === null) return { kind: "do" };
  const { result, partial = false, secrets = [] } = answer;
  maskToo(job, secrets);
  const whole = readResult(answer.whole);
  return { kind: "done", result, partial, ...(whole === undefined ? {} : { whole }) };
}

function readResult(whole: string | undefined): Result | undefined {
  try {
    return whole === undefined ? undefined : (readWhole(whole) as Result);
  } catch {
    return undefined;
  }
}

/** Make what gives each play's view of the host, by its index: facts about the user are those of the play's user. */
function createViews({ system, systems, facts, gather }: EffectsOptions): Effects["view"] {
  const views = new Map<string | undefined, Promise<HostView>>();
  const make = async (user: string | undefined, mayLack: boolean): Promise<HostView> => {
    const systemOf: HostView["systemOf"] = (become) =>
      systems === undefined ? system : systems.of(systems.userOf(become, user));
    const again = gather === undefined ? {} : { gather };
    if (systems === undefined || user === undefined) return { facts, systemOf, ...again };
    let own: Awaited<ReturnType<typeof gatherUser>>;
    let env: NodeJS.ProcessEnv;
    try {
      await systems.prepare?.(user);
      env = systems.envOf(user);
      own = await gatherUser(createFactReader(system), systems.of(user), env);
    } catch (thrown) {
      if (!mayLack) throw thrown;
      // A task of the play may make the user; those that need the user before fail by themselves.
      views.delete(user);
      return { facts, systemOf, ...again };
    }
    const asUser = (found: Facts): Facts => ({ ...found, ...own, env: textsOf(env) });
    return {
      facts: asUser(facts),
      systemOf,
      ...(gather === undefined ? {} : { gather: async () => asUser(await gather()) }),
    };
  };
  return (index, mayLack = false) => {
    const user = systems?.userOfPlay(index);
    const view = views.get(user) ?? make(user, mayLack);
    views.set(user, view);
    // A user that an earlier play makes is there when its own play begins.
    view.catch(() => views.delete(user));
    return view;
  };
}

function textsOf(env: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
