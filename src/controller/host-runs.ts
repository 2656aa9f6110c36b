import { realpathSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { maskEvent } from "../core/mask-event.ts";
import type { Job, JobOptions, Session } from "../core/protocol.ts";
import type { BegunRecord } from "./begin-record.ts";
import { createDelegates } from "./delegate.ts";
import { type HostBecome, hostBecome } from "./host-become.ts";
import { HostRun } from "./host-run.ts";
import { createOnceRelay, type OnceRelay } from "./once.ts";
import { makeJob } from "./plan.ts";
import { createMasks } from "./plan-secrets.ts";
import type { PreparedRun } from "./prepare-run.ts";
import { DEFAULTS, type RunOptions } from "./run-options.ts";
import type { Transports } from "./transports.ts";

/** The hosts' parts of a run, none of them begun. */
export interface HostRuns {
  readonly runs: ReadonlyMap<string, HostRun>;
  /** Tells hosts of a batch what another one has done for them. */
  readonly once: OnceRelay;
}

/** Makes each host's job, and its part of the run. Fails with `INVENTORY_INVALID` or `USAGE`. */
export function createHostRuns(
  options: RunOptions,
  { playbook, plan }: PreparedRun,
  { id, events, earlier, bundle, changed, emit }: BegunRecord,
  { transports, now }: { readonly transports: Transports; readonly now: AbortSignal },
): HostRuns {
  const session: Session = {
    run: id,
    controller: `${userInfo().username}@${hostname()}`,
    lockWaitMs: options.lockWaitMs ?? DEFAULTS.lockWaitMs,
    project: realpathSync(playbook.directory),
    ...(options.resume === undefined ? {} : { resume: options.resume }),
  };
  const maskOf = createMasks();
  const once = createOnceRelay(events);
  const runs = new Map<string, HostRun>();
  const jobs = new Map<string, Job>();
  const delegates = createDelegates({
    playbook: playbook.playbook,
    assets: playbook.assets,
    jobOf: (host) => jobs.get(host),
    tell: (host, command) => runs.get(host)?.tell(command),
    earlier: events,
    signal: now,
  });
  for (const host of plan.hosts) {
    const mine = plan.plays.filter((play) => play.hosts.includes(host));
    const reached = transports.of(host);
    const become = hostBecome(host, reached.endpoint.user, mine, options);
    const job = withBecome(makeJob(host, plan, jobOptionsOf(options), session), become);
    jobs.set(host.name, job);
    const mask = maskOf(job.secrets ?? []);
    const seen = earlier.get(host.name);
    runs.set(
      host.name,
      new HostRun({
        ...reached,
        bundle,
        job,
        become: become.start,
        mask,
        emit: (event) => {
          const told = mask === null ? event : maskEvent(mask, event);
          emit(told);
          once.take(told);
          delegates(told);
        },
        locate: playbook.locateRemote,
        now,
        startTimeoutMs: options.startTimeoutMs ?? DEFAULTS.startTimeoutMs,
        returnTimeoutMs: options.returnTimeoutMs ?? DEFAULTS.returnTimeoutMs,
        mayLaunch: !changed,
        via: options.via ?? DEFAULTS.via,
        playbook,
        ...(seen === undefined ? {} : { earlier: seen }),
      }),
    );
  }
  return { runs, once };
}

function jobOptionsOf({ check = false, diff = false, tags = [], skipTags = [] }: RunOptions): JobOptions {
  return { check, diff, tags, skipTags, barriers: true };
}

function withBecome(job: Job, { job: become, secrets }: HostBecome): Job {
  const all = [...(job.secrets ?? []), ...secrets];
  return { ...job, become, ...(all.length === 0 ? {} : { secrets: [...new Set(all)] }) };
}
