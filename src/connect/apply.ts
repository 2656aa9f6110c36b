import { setTimeout as sleep } from "node:timers/promises";
import pLimit, { type LimitFunction } from "p-limit";
import { createDiskAssets } from "../bundle/assets.ts";
import { makeRunId } from "../controller/records/records.ts";
import { type ActionCall, type ActionContext, createMemo, type Memo } from "../core/action.ts";
import { type AssetStore, PLAYBOOK_ROLE } from "../core/asset.ts";
import { isVolleyError, serializeError, VolleyError } from "../core/errors.ts";
import type { Facts } from "../core/facts.ts";
import type { Diff, Result, State } from "../core/result.ts";
import type { Become } from "../core/unix/users.ts";
import { plainVars, type Vars } from "../core/values/vars.ts";
import { createActionContext, factVariables } from "../engine/context.ts";
import { withTimeLimit } from "../engine/limits.ts";
import { finishRestarted, performAction } from "../engine/perform.ts";
import { maskEvent } from "../vars/mask.ts";
import { becomeOn, type Core, type Member } from "./members.ts";
import { type HostEnd, Results } from "./results.ts";
import { anyOf } from "./signals.ts";
import { checkTimeout, startWork, type Work } from "./work.ts";
import { openWorkplace, type Workplace } from "./workplace.ts";

/** Options of carrying an action out. */
export interface ApplyOptions {
  /** As of a command. */
  readonly become?: boolean | string;
  /** Change nothing, and tell what would be changed. Default false. */
  readonly check?: boolean;
  /** Time limit on each host once it is reached, in milliseconds. Default: none. */
  readonly timeoutMs?: number;
  /** Take what the action prints as it comes. */
  readonly onOutput?: (host: string, stream: "stdout" | "stderr", text: string) => void;
  /** Its abort ends the action. */
  readonly signal?: AbortSignal;
}

/** The result of an action on one host. Secrets that the fleet knows of are masked. */
export interface ApplyResult<D = unknown> extends HostEnd {
  /** As of a task; `failed` also where the host was not reached, which `error` tells. */
  readonly state: State;
  /** True when only a run can tell what would happen: the state is then `skipped`. */
  readonly unknown: boolean;
  readonly message: string | undefined;
  /** The differences that the action has made, or would make. */
  readonly diff: readonly Diff[];
  /** The data that the action returns, such as a command's output. */
  readonly data: D | undefined;
  readonly elapsedMs: number;
}

/** Carries actions out on the hosts of a fleet, and keeps what each host needs for the next. */
export interface Applier {
  apply<D>(members: readonly Member[], call: ActionCall<D>, options?: ApplyOptions): Work<ApplyResult<D>>;
  facts(members: readonly Member[], options?: FactsOptions): Work<FactsResult>;
  /** Resolves once nothing works any more. */
  close(): Promise<void>;
}

/** Options of gathering facts. */
export interface FactsOptions {
  /** As of a command. */
  readonly become?: boolean | string;
  readonly signal?: AbortSignal;
}

/** The facts of one host. */
export interface FactsResult extends HostEnd {
  /** Undefined where the host was not reached. */
  readonly facts: Facts | undefined;
  /** The facts under the names that templates see, such as `ansible_kernel`; empty where the host was not reached. */
  readonly vars: Vars;
  readonly elapsedMs: number;
}

/** Make an {@link Applier}. */
export function createApplier(core: Core): Applier {
  const assets = createDiskAssets((role) => (role === PLAYBOOK_ROLE ? core.cwd : undefined));
  const benches = new Map<string, Bench>();
  const run = makeRunId();
  const benchOf = (member: Member, become: Become | null): Bench => {
    const key = JSON.stringify([member.name, become?.user, become?.method]);
    let bench = benches.get(key);
    if (bench === undefined) {
      bench = createBench((signal) => openWorkplace(member, core, become, assets, signal));
      benches.set(key, bench);
    }
    return bench;
  };
  const atHost = async <T>(
    member: Member,
    { become, signal }: { readonly become: boolean | string | undefined; readonly signal: AbortSignal },
    work: (bench: Bench) => Promise<T>,
  ): Promise<T> => {
    const bench = benchOf(member, becomeOn(member, become, core.become));
    return bench.turn(async () => {
      if (signal.aborted) throw new VolleyError("CANCELLED", "cancelled before it started");
      return await work(bench);
    });
  };
  return {
    apply: <D>(
      members: readonly Member[],
      call: ActionCall<D>,
      options: ApplyOptions = {},
    ): Work<ApplyResult<D>> =>
      startWork<Member, ApplyResult<D>, Results<ApplyResult<D>>, void>({
        hosts: members,
        limit: core.limit,
        signal: options.signal,
        empty: new Results<ApplyResult<D>>(),
        prepare: async () => checkTimeout(options.timeoutMs),
        perHost: async (member, _none, cancel) => {
          const startedAt = performance.now();
          const signal = anyOf(cancel, core.closing);
          const result = await atHost(member, { become: options.become, signal }, (bench) =>
            carryOut({ member, call, core, run, assets, signal, options }, bench),
          ).catch((thrown: unknown): Result => ({ state: "failed", error: serializeError(thrown) }));
          return resultOf<D>(member, result, core, performance.now() - startedAt);
        },
      }),
    facts: (members, options = {}) =>
      startWork({
        hosts: members,
        limit: core.limit,
        signal: options.signal,
        empty: new Results<FactsResult>(),
        prepare: async () => {},
        perHost: async (member, _none, cancel): Promise<FactsResult> => {
          const startedAt = performance.now();
          const signal = anyOf(cancel, core.closing);
          const end = (): Pick<FactsResult, "host" | "elapsedMs"> => ({
            host: member.name,
            elapsedMs: performance.now() - startedAt,
          });
          try {
            const facts = await atHost(member, { become: options.become, signal }, async (bench) => {
              const isKnown = bench.isOpen;
              const place = await bench.place(signal);
              return isKnown ? await place.gather() : place.facts;
            });
            const { ansible_facts: _all, ...vars } = factVariables(facts);
            return { ...end(), ok: true, facts, vars: plainVars(vars) };
          } catch (thrown) {
            const error = core.masking.error(serializeError(thrown));
            return { ...end(), ok: false, facts: undefined, vars: {}, error };
          }
        },
      }),
    close: async () => {
      await Promise.all([...benches.values()].map((bench) => bench.close()));
    },
  };
}

/** The place of a user on a host: opened when it is first needed, and anew when its connection went. */
interface Bench {
  /** Work when nothing else works here. */
  turn: LimitFunction;
  readonly isOpen: boolean;
  place(signal: AbortSignal): Promise<Workplace>;
  readonly memo: Memo;
  drop(): void;
  close(): Promise<void>;
}

function createBench(open: (signal: AbortSignal) => Promise<Workplace>): Bench {
  let opened: Workplace | undefined;
  let memo = createMemo();
  const turn = pLimit(1);
  const drop = (): void => {
    opened?.close();
    opened = undefined;
    memo = createMemo();
  };
  return {
    turn,
    get isOpen() {
      return opened !== undefined;
    },
    get memo() {
      return memo;
    },
    place: async (signal) => {
      if (opened !== undefined) return opened;
      const mine = await open(signal);
      opened = mine;
      void mine.connection.closed.then(() => {
        if (opened === mine) drop();
      });
      return mine;
    },
    drop,
    close: async () => {
      drop();
      await turn(async () => drop());
    },
  };
}

interface Task {
  readonly member: Member;
  readonly call: ActionCall;
  readonly core: Core;
  /** The name under which the host is locked. */
  readonly run: string;
  readonly assets: AssetStore;
  readonly signal: AbortSignal;
  readonly options: ApplyOptions;
}

/** Carry an action out on one host, and again what is left of it once it has restarted the host. */
async function carryOut(task: Task, bench: Bench): Promise<Result> {
  const { member, call, run, signal, options } = task;
  const { check = false, timeoutMs } = options;
  const startedAt = performance.now();
  const begin = async () => {
    const opened = await bench.place(signal);
    opened.forget();
    const taken = check ? undefined : await opened.lock(run, signal).catch(blameLoss(member, opened));
    return { place: opened, lock: taken };
  };
  const { place, lock } = await begin().catch((thrown: unknown) => {
    // The connection went since the last action: nothing has been begun.
    if (!isVolleyError(thrown) || thrown.code !== "CONNECTION_LOST") throw thrown;
    bench.drop();
    return begin();
  });
  const restart = call.afterRestart === undefined ? undefined : await watchRestart(place);
  const { system } = place.opened;
  const seconds = timeoutMs === undefined ? undefined : timeoutMs / 1_000;
  const performed = withTimeLimit(seconds, signal, system, async (ends, limited) => {
    const context = await contextOf(task, place, bench.memo, ends, restart?.announce);
    return (await performAction(call, limited, context)).result;
  });
  performed.catch(() => {});
  try {
    const gone = place.connection.closed.then(() => "gone" as const);
    const first = await Promise.race([performed, gone]);
    const result = first === "gone" ? await afterLoss(member, performed) : first;
    if (restart?.announcedMs === undefined || !isLoss(result)) return result;
  } finally {
    await Promise.race([lock?.release(), place.connection.closed]);
  }
  bench.drop();
  const back = await comeBack(bench, restart.bootId, restart.announcedMs, signal);
  const context = await contextOf(task, back, bench.memo, signal, undefined);
  return (await finishRestarted(call, back.opened.system, context, performance.now() - startedAt)).result;
}

/** An action that waits for the host may tell of the loss itself; another must not be waited for. */
async function afterLoss({ name }: Member, performed: Promise<Result>): Promise<Result> {
  const error = serializeError(
    new VolleyError("CONNECTION_LOST", `${name}: the connection went while it worked`),
  );
  return await Promise.race([performed, sleep(LOSS_MS, { state: "failed" as const, error }, { ref: false })]);
}

const LOSS_MS = 1_000;

/** Return what rethrows a failure, or the loss of the connection that it comes of. */
function blameLoss({ name }: Member, { connection }: Workplace): (thrown: unknown) => Promise<never> {
  return async (thrown) => {
    // The connection's end is told a moment after that of what used it.
    const isGone = await Promise.race([connection.closed.then(() => true), sleep(LOSS_MS / 10, false)]);
    if (isGone && !(isVolleyError(thrown) && thrown.code === "CANCELLED"))
      throw new VolleyError("CONNECTION_LOST", `${name}: the connection went before the action began`);
    throw thrown;
  };
}

function isLoss({ error }: Result): boolean {
  return error?.code === "CONNECTION_LOST" || error?.code === "CANCELLED";
}

interface Restart {
  readonly bootId: string;
  announce(timeoutMs: number): void;
  /** The time that the host has to come back; undefined: no restart was announced. */
  readonly announcedMs: number | undefined;
}

async function watchRestart(place: Workplace): Promise<Restart> {
  let announcedMs: number | undefined;
  return {
    bootId: await bootIdOf(place),
    announce: (timeoutMs) => {
      announcedMs = timeoutMs;
    },
    get announcedMs() {
      return announcedMs;
    },
  };
}

async function bootIdOf({ opened }: Workplace): Promise<string> {
  const bytes = await opened.system.readIfExists("/proc/sys/kernel/random/boot_id");
  return bytes?.toString("utf8") ?? "";
}

const COME_BACK_PAUSE_MS = 1_000;

/** Wait until the host has restarted, and is reached again. Fails with `TIMEOUT` or `CANCELLED`. */
async function comeBack(
  bench: Bench,
  before: string,
  limitMs: number,
  signal: AbortSignal,
): Promise<Workplace> {
  const until = performance.now() + limitMs;
  for (;;) {
    try {
      const place = await bench.place(signal);
      const now = await bootIdOf(place);
      if (now !== before || now === "") return place;
      bench.drop();
    } catch (thrown) {
      if (isVolleyError(thrown) && thrown.code === "CANCELLED") throw thrown;
    }
    if (performance.now() >= until)
      throw new VolleyError(
        "TIMEOUT",
        `the host is not back ${Math.round(limitMs / 1_000)} s after its restart`,
      );
    await sleep(COME_BACK_PAUSE_MS, undefined, { signal }).catch(() => {
      throw new VolleyError("CANCELLED", "cancelled while the host was restarting");
    });
  }
}

async function contextOf(
  { member, assets, options }: Task,
  place: Workplace,
  memo: Memo,
  signal: AbortSignal,
  restart: ((timeoutMs: number) => void) | undefined,
): Promise<ActionContext> {
  const { check = false, onOutput } = options;
  const make = (vars: Workplace["facts"] | ReturnType<Workplace["vars"]>): ActionContext =>
    createActionContext({
      ...{
        role: PLAYBOOK_ROLE,
        vars: vars as ReturnType<Workplace["vars"]>,
        facts: place.facts,
        check,
        signal,
      },
      ...{ memo, assets, render: place.renderer.render, restart },
      output: (stream, text) => onOutput?.(member.name, stream, text),
    });
  const context = make(place.vars(check, false));
  // Only templates need the values of secrets.
  return Object.defineProperty(context, "render", {
    value: async (...given: Parameters<ActionContext["render"]>) =>
      await make(await place.openVars(check, false)).render(...given),
  });
}

function resultOf<D>(
  { name: host }: Member,
  result: Result,
  { masking }: Core,
  elapsedMs: number,
): ApplyResult<D> {
  const mask = masking.mask();
  const {
    state,
    unknown = false,
    message,
    diff = [],
    data,
    error,
  } = mask === null ? result : maskEvent(mask, result);
  return {
    ...{ host, ok: state !== "failed", state, unknown, message, diff, elapsedMs },
    data: data as D | undefined,
    ...(error === undefined ? {} : { error }),
  };
}
