import type { Host } from "../../core/inventory.ts";
import type { Job, JobOptions, JobSession } from "../../core/protocol.ts";
import { RUNTIME_MODES, type RuntimeTraits } from "../../core/runtimes.ts";
import type { Become } from "../../core/unix/users.ts";
import type { Endpoint, Transport } from "../../transport/transport.ts";
import { encodeVars, encodeWhole } from "../../vars/whole-value.ts";
import type { LeftSecrets } from "../queued/left-secrets.ts";
import { DEFAULT_LABEL, type QueuedHost } from "../queued/queued-host.ts";
import type { NodeSetup } from "../session/state.ts";
import { DEFAULTS, type RunOptions } from "./options.ts";
import { isFor, makeJob, type OpenHostPlan, type PlayHosts } from "./plan.ts";
import { type BecomePlay, type HostBecome, hostBecome, type Reached } from "./reach.ts";
import type { OpenedVault } from "./vaulted.ts";

// The job of each host, and the way to start it there.

/** A host with its job. */
export interface PlannedHost {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  /** The user to start the bundle as; null: the login user. */
  readonly become: Become | null;
  readonly job: Job & { readonly session: JobSession };
  /** The way to get Node onto the host, where it has none. */
  readonly node: NodeSetup;
}

/** The way to a host, and the users to work as on it. */
export interface HostWay {
  readonly reached: Reached;
  readonly become: HostBecome;
}

/** The parts that the jobs of all hosts of a run have in common. */
interface JobSource {
  readonly session: JobSession;
  readonly startAtPlay: number | undefined;
  /** True when jobs name the groups of every host. */
  readonly namesGroups: boolean;
  readonly vaulted: OpenedVault | undefined;
  readonly runtimes: readonly RuntimeTraits[];
  /** The secrets that workers read. Default: none. */
  readonly left: LeftSecrets | undefined;
}

/** Makes the jobs of hosts, for their part of these plays. Fails with `INVENTORY_INVALID` or `USAGE`. */
interface HostMaker {
  /** Make the job of a host that is reached this way from here. */
  here(host: Host, way: HostWay, plays: readonly PlayHosts[]): PlannedHost;
  /** Make the job of a host that a worker reaches. */
  queued(host: Host, plays: readonly PlayHosts[]): QueuedHost;
}

/** Return the maker of each host's job. */
export function hostMaker(
  selected: OpenHostPlan,
  options: RunOptions,
  { session, startAtPlay, namesGroups, vaulted, runtimes, left }: JobSource,
): HostMaker {
  const {
    check = false,
    diff = false,
    tags = [],
    skipTags = [],
    startAtTask,
    step,
    forceHandlers,
    verbosity = 0,
  } = options;
  const jobOptions: JobOptions = {
    check,
    diff,
    tags,
    skipTags,
    barriers: true,
    forks: options.concurrency ?? DEFAULTS.concurrency,
    ...(startAtTask === undefined ? {} : { startAtTask }),
    ...(startAtPlay === undefined ? {} : { startAtPlay }),
    ...(step === undefined ? {} : { step: true }),
    ...(forceHandlers === undefined ? {} : { forceHandlers }),
    ...(verbosity === 0 ? {} : { verbosity }),
  };
  const jobOf = (host: Host, plays: readonly PlayHosts[], become: HostBecome): PlannedHost["job"] => {
    const job = makeJob(
      host,
      { ...selected, plays },
      { options: jobOptions, asksForGroups: namesGroups, vaulted },
    );
    const secrets = [...new Set([...(job.secrets ?? []), ...become.secrets])];
    // V8 gives a copy by spreading a hidden class of its own, which in a large fleet is larger than the job.
    return Object.assign(job, { session }, secrets.length === 0 ? undefined : { secrets });
  };
  return {
    here: (host, { reached: { endpoint, transport }, become }, plays) =>
      Object.freeze({
        name: host.name,
        endpoint,
        transport,
        become: become.start,
        node: nodeSetup(host, options, runtimes),
        job: { ...jobOf(host, plays, become), become: become.job },
      }),
    queued: (host, plays) => {
      const mine = plays.filter((entry) => isFor(entry, host)).map(becomePlay);
      // The worker finds the login user: the secrets, and faults, are the same for each.
      const become = hostBecome(host, host.connection.user ?? "", mine, options);
      const { name, connection, vars, sources } = host;
      const names = Object.keys(vars).filter((key) => key.startsWith("ansible_"));
      const pick = <T>(from: Readonly<Record<string, T>>): Record<string, T> =>
        Object.fromEntries(names.flatMap((key) => (key in from ? [[key, from[key]!]] : [])));
      const way = { host: { name, connection, vars: pick(vars), sources: pick(sources) }, plays: mine };
      const job = jobOf(host, plays, become);
      const secrets =
        left === undefined || !left.hasAny
          ? []
          : left.in(JSON.stringify([encodeVars(job), encodeWhole(way.host.vars)]));
      return Object.freeze({ name, label: connection.worker ?? DEFAULT_LABEL, way, job, secrets });
    },
  };
}

/** Return the parts of a play that tell the user to work as. */
function becomePlay({ index, play }: PlayHosts): BecomePlay {
  const { name, become, becomeMethod, becomeExe, becomeFlags, program } = play;
  const told = { name, become, becomeMethod, becomeExe, becomeFlags };
  return { index, play: program === undefined ? told : { ...told, program: true } };
}

/** Return the way to get Node onto a host that has none. Check mode installs no package. */
export function nodeSetup(
  { connection: { runtime } }: Pick<Host, "connection">,
  { runtime: asked, check = false }: Pick<RunOptions, "runtime" | "check">,
  runtimes: readonly RuntimeTraits[],
): NodeSetup {
  const wanted = asked ?? runtime?.mode ?? RUNTIME_MODES[0];
  const mode = check && wanted === "package" ? "never" : wanted;
  return { mode, runtimes: mode === "send" ? runtimes : [], directory: runtime?.directory };
}
