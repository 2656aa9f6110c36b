import type { Host } from "../../core/inventory.ts";
import type { Job, JobOptions, JobSession } from "../../core/protocol.ts";
import { RUNTIME_MODES, type RuntimeTraits } from "../../core/runtimes.ts";
import type { Become } from "../../core/unix/users.ts";
import type { Endpoint, Transport } from "../../transport/transport.ts";
import type { NodeSetup } from "../session/state.ts";
import { DEFAULTS, type RunOptions } from "./options.ts";
import { makeJob, type OpenHostPlan, type PlayHosts } from "./plan.ts";
import type { HostBecome, Reached } from "./reach.ts";
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
}

/** Makes the job of a host that is reached this way, for its part of these plays. */
type MakeHost = (host: Host, way: HostWay, plays: readonly PlayHosts[]) => PlannedHost;

/** Return the maker of each host's job, which fails with `INVENTORY_INVALID` or `USAGE`. */
export function hostMaker(
  selected: OpenHostPlan,
  options: RunOptions,
  { session, startAtPlay, namesGroups, vaulted, runtimes }: JobSource,
): MakeHost {
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
  return (host, { reached: { endpoint, transport }, become }, plays) => {
    const job = makeJob(
      host,
      { ...selected, plays },
      { options: jobOptions, asksForGroups: namesGroups, vaulted },
    );
    const secrets = [...new Set([...(job.secrets ?? []), ...become.secrets])];
    return Object.freeze({
      name: host.name,
      endpoint,
      transport,
      become: become.start,
      node: nodeSetup(host, options, runtimes),
      job: { ...job, session, become: become.job, ...(secrets.length === 0 ? {} : { secrets }) },
    });
  };
}

/** Return the way to get Node onto a host that has none. Check mode installs no package. */
function nodeSetup(
  { connection: { runtime } }: Host,
  { runtime: asked, check = false }: Pick<RunOptions, "runtime" | "check">,
  runtimes: readonly RuntimeTraits[],
): NodeSetup {
  const wanted = asked ?? runtime?.mode ?? RUNTIME_MODES[0];
  const mode = check && wanted === "package" ? "never" : wanted;
  return { mode, runtimes: mode === "send" ? runtimes : [], directory: runtime?.directory };
}
