import { realpathSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import type { ControllerEvent, ReceivedEvent } from "../core/events.ts";
import type { Job, JobOptions, Session } from "../core/protocol.ts";
import { createMask, type Mask, maskEvent } from "../vars/mask.ts";
import { type HostBecome, hostBecome } from "./prepare/become.ts";
import { DEFAULTS, type RunOptions } from "./prepare/options.ts";
import { createMasks, makeJob } from "./prepare/plan.ts";
import type { PreparedRun } from "./prepare/prepare.ts";
import type { Transports } from "./prepare/transports.ts";
import type { BegunRecord } from "./records/recorder.ts";
import { createDelegates } from "./schedule/delegate.ts";
import { createOnceRelay, type OnceRelay, openOnceResults } from "./schedule/once.ts";
import { openHostSession } from "./session/driver.ts";
import type { HostSession } from "./session/session.ts";

/** The sessions of a run, by inventory name. */
export interface Sessions {
  readonly sessions: ReadonlyMap<string, HostSession>;
  /** Tells the hosts of a batch the results of tasks that one of them does for all. */
  readonly once: OnceRelay;
  /** Remove the results that were kept for hosts, once the run has ended. */
  forget(): void;
}

/** Make each host's job, and open its session; no session has begun. Fails with `INVENTORY_INVALID` or `USAGE`. */
export function openSessions(
  options: RunOptions,
  { playbook, plan }: PreparedRun,
  { id, events, earlier, bundle, changed, onceFile, emit }: BegunRecord,
  { transports, now }: { readonly transports: Transports; readonly now: AbortSignal },
): Sessions {
  const session: Session = {
    run: id,
    controller: `${userInfo().username}@${hostname()}`,
    lockWaitMs: options.lockWaitMs ?? DEFAULTS.lockWaitMs,
    project: realpathSync(playbook.directory),
    ...(options.resume === undefined ? {} : { resume: options.resume }),
  };
  const maskOf = createMasks();
  const results = openOnceResults(onceFile);
  const sessions = new Map<string, HostSession>();
  const jobs = new Map<string, Job>();
  /** Secrets of other hosts that a host was told with their results. */
  const learnt = new Map<string, readonly string[]>();
  const secretsOf = (host: string): readonly string[] => [
    ...(jobs.get(host)?.secrets ?? []),
    ...(learnt.get(host) ?? []),
  ];
  const once = createOnceRelay({
    earlier: events,
    wholeOf: results.of,
    share: (text, from, to) => {
      const found = secretsOf(from).filter((secret) => (createMask([secret])?.text(text) ?? text) !== text);
      learnt.set(to, [...new Set([...(learnt.get(to) ?? []), ...found])]);
      return found;
    },
  });
  const delegates = createDelegates({
    playbook: playbook.playbook,
    assets: playbook.assets,
    jobOf: (host) => jobs.get(host),
    tell: (host, command) => sessions.get(host)?.tell(command),
    earlier: events,
    signal: now,
  });
  for (const host of plan.hosts) {
    const mine = plan.plays.filter((play) => play.hosts.includes(host));
    const reached = transports.of(host);
    const become = hostBecome(host, reached.endpoint.user, mine, options);
    const job = withBecome(
      {
        ...makeJob(host, plan, { options: jobOptionsOf(options), asksForGroups: bundle.asksForGroups }),
        session,
      },
      become,
    );
    jobs.set(host.name, job);
    const mask = (): Mask | null => maskOf(secretsOf(host.name));
    const tell = (event: ReceivedEvent | ControllerEvent): ReceivedEvent | ControllerEvent => {
      const by = mask();
      const told = by === null ? event : maskEvent(by, event);
      emit(told);
      once.take(told);
      return told;
    };
    sessions.set(
      host.name,
      openHostSession({
        ...reached,
        bundle,
        job,
        become: become.start,
        get mask() {
          return mask();
        },
        keepResult: (task, whole) => results.keep(host.name, task, whole),
        emit: tell,
        ask: (question) => delegates(tell(question)),
        locate: playbook.locateRemote,
        startTimeoutMs: options.startTimeoutMs ?? DEFAULTS.startTimeoutMs,
        returnTimeoutMs: options.returnTimeoutMs ?? DEFAULTS.returnTimeoutMs,
        mayLaunch: !changed,
        via: options.via ?? DEFAULTS.via,
        playbook,
        earlier: earlier.get(host.name),
      }),
    );
  }
  return { sessions, once, forget: results.remove };
}

function jobOptionsOf({ check = false, diff = false, tags = [], skipTags = [] }: RunOptions): JobOptions {
  return { check, diff, tags, skipTags, barriers: true };
}

function withBecome<J extends Job>(job: J, { job: become, secrets }: HostBecome): J {
  const all = [...(job.secrets ?? []), ...secrets];
  return { ...job, become, ...(all.length === 0 ? {} : { secrets: [...new Set(all)] }) };
}
