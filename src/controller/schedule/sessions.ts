import { type Runtime, readRuntime } from "../../bundle/runtimes/store.ts";
import type { ControllerEvent, ReceivedEvent } from "../../core/events.ts";
import { type Question, questionKey } from "../../core/protocol.ts";
import { createMask, type Mask, maskEvent } from "../../vars/mask.ts";
import type { PlannedHost } from "../prepare/jobs.ts";
import type { Plan } from "../prepare/prepare.ts";
import type { OpenQueue, PartOptions } from "../queued/host-queue.ts";
import type { QueuedHost } from "../queued/queued-host.ts";
import type { EarlierRun } from "../records/recall.ts";
import type { Recorder } from "../records/recorder.ts";
import { onceFileOf } from "../records/records.ts";
import { openHostSession } from "../session/driver.ts";
import type { HostSession } from "../session/session.ts";
import { createDelegates } from "./delegate.ts";
import { type BatchLockstep, createLockstep } from "./lockstep.ts";
import { createOnceRelay, type OnceRelay, openOnceResults } from "./once.ts";
import { createSteps } from "./steps.ts";

/** The sessions of a run, one for each host, none of them begun. */
export interface Sessions {
  readonly byHost: ReadonlyMap<string, HostSession>;
  /** Sends the results of `runOnce` tasks to the other hosts of a batch. */
  readonly once: OnceRelay;
  /** Open a session for a host that tasks have added to the run. */
  open(host: PlannedHost | QueuedHost): HostSession;
  /** Lets the hosts go through plays together, where plays are carried out here. */
  readonly lockstep: BatchLockstep | undefined;
  /** Remove the results kept for another controller: the run has ended. */
  forget(): void;
}

/** Options of the sessions of a run. */
interface SessionsOptions {
  readonly earlier: Pick<EarlierRun, "parts" | "asked">;
  /** Ends actions on the controller. */
  readonly now: AbortSignal;
  /** Has the workers for hosts that are not reached from here. */
  readonly queue: OpenQueue | undefined;
}

/** Open a session for each host of a plan, and answer what the hosts ask. */
export function openSessions(
  plan: Plan,
  { emit }: Recorder,
  { earlier, now, queue }: SessionsOptions,
): Sessions {
  const { playbook, hosts, limits, record, attached } = plan;
  const results = openOnceResults(record === undefined ? undefined : onceFileOf(record.directory, plan.run));
  const jobs = new Map(hosts.map(({ name, job }) => [name, job]));
  const byHost = new Map<string, HostSession>();
  const secrets = createSecretBook(hosts);
  const { world } = playbook;
  const lockstep = world === undefined ? undefined : createLockstep(limits.concurrency, () => once.review());
  const once = createOnceRelay({
    earlier: earlier.asked,
    wholeOf: results.of,
    share: secrets.share,
    isElsewhere: (host) => lockstep?.isWaiting(host) === true,
  });
  const led =
    world === undefined || lockstep === undefined ? playbook : { ...playbook, world: { ...world, lockstep } };
  const steps = createSteps({
    ask: plan.askStep,
    tell: (host, command) => byHost.get(host)?.tell(command),
  });
  const delegates = createDelegates({
    playbook: playbook.playbook,
    assets: playbook.assets,
    jobOf: (host) => jobs.get(host),
    tell: (host, command) => byHost.get(host)?.tell(command),
    earlier: earlier.asked,
    signal: now,
  });
  const archives = createArchives(plan.runtimes);
  const open = (host: PlannedHost | QueuedHost): HostSession => {
    const { name } = host;
    const masked = <E extends ReceivedEvent | ControllerEvent>(event: E): E => {
      const mask = secrets.maskOf(name);
      return mask === null ? event : maskEvent(mask, event);
    };
    // Few hosts ask anything.
    let asked: Set<string> | undefined;
    const part: PartOptions = {
      keepResult: (task, whole) => results.keep(name, task, whole),
      emit: (event) => {
        const told = masked(event);
        emit(told);
        once.take(told);
      },
      ask: (question) => {
        if (question.kind === "step") return steps(name, question);
        const key = questionKey(question);
        const event = masked(questionEvent(name, question));
        // A host repeats its questions after every reconnection: emit a question once, and answer it each time.
        if (asked?.has(key) !== true) emit(event);
        asked = (asked ?? new Set()).add(key);
        once.take(event);
        delegates(event);
      },
      locate: playbook.locateRemote,
      earlier: earlier.parts.get(name),
    };
    const session =
      "label" in host
        ? queue!.session(host, part)
        : openHostSession({
            ...host,
            ...part,
            bundle: plan.bundle,
            get mask() {
              return secrets.maskOf(name);
            },
            readRuntime: archives,
            startTimeoutMs: limits.startMs,
            returnTimeoutMs: limits.returnMs,
            waitMs: 1_000 * (playbook.playbook.plays[host.job.plays[0] ?? 0]?.waitForConnection ?? 0),
            mayLaunch: attached?.changed !== true,
            via: plan.method,
            playbook: led,
          });
    byHost.set(name, session);
    return session;
  };
  for (const host of hosts) open(host);
  return {
    byHost,
    once,
    lockstep,
    open: (host) => {
      jobs.set(host.name, host.job);
      secrets.add(host);
      return open(host);
    },
    forget: results.remove,
  };
}

/** Return the reader of the archives of runtimes, by id: each is read once, however many hosts get it. */
export function createArchives(runtimes: readonly Runtime[]): (id: string) => Promise<Buffer> {
  const read = new Map<string, Promise<Buffer>>();
  return (id) => {
    const known = read.get(id) ?? readRuntime(runtimes.find((each) => each.id === id)!);
    read.set(id, known);
    return known;
  };
}

/** The secrets that each host knows: those of its job, and those in results of other hosts. */
interface SecretBook {
  /** Take in a host that joins the run. */
  add(host: Pick<PlannedHost, "name" | "job">): void;
  /** Return the mask of all output about a host. */
  maskOf(host: string): Mask | null;
  /** Note that `to` gets a text of `from`; returns the secrets in the text. */
  share(text: string, from: string, to: string): readonly string[];
}

function createSecretBook(hosts: readonly Pick<PlannedHost, "name" | "job">[]): SecretBook {
  const known = new Map(hosts.map(({ name, job: { secrets = [] } }) => [name, secrets]));
  /** Hosts with the same secrets have the same mask. */
  const masks = new Map<string, Mask | null>();
  /** The masks by host: a host's mask is asked for with every event. */
  const current = new Map<string, Mask | null>();
  const maskFor = (secrets: readonly string[]): Mask | null => {
    const key = JSON.stringify(secrets);
    let mask = masks.get(key);
    if (mask === undefined) {
      mask = createMask(secrets);
      masks.set(key, mask);
    }
    return mask;
  };
  return {
    add: ({ name, job: { secrets = [] } }) => void known.set(name, secrets),
    maskOf: (host) => {
      let mask = current.get(host);
      if (mask === undefined) {
        mask = maskFor(known.get(host) ?? []);
        current.set(host, mask);
      }
      return mask;
    },
    share: (text, from, to) => {
      const found = (known.get(from) ?? []).filter(
        (secret) => (createMask([secret])?.text(text) ?? text) !== text,
      );
      known.set(to, [...new Set([...(known.get(to) ?? []), ...found])]);
      current.delete(to);
      return found;
    },
  };
}

/** The controller's event about a question of a host. */
function questionEvent(
  host: string,
  { kind, ...asked }: Exclude<Question, { kind: "step" }>,
): ControllerEvent {
  return { ...asked, type: `task:${kind}`, host } as ControllerEvent;
}
