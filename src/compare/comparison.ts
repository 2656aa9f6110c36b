import { VolleyError } from "../core/errors.ts";
import type { Outcome } from "../core/events.ts";
import type { Tally } from "../core/result.ts";
import { quote } from "../core/unix/shell.ts";
import type { ComparedPhase } from "../reporter/timing.ts";

/** A way to carry out the playbook: a run of Volley, or any command. */
export type Method =
  | { readonly kind: "volley"; readonly name: string; readonly via: string }
  /** A line for the shell; `{inventory}` in it stands for the inventory that leads through the proxies. */
  | { readonly kind: "command"; readonly name: string; readonly line: string };

/** The state of caches: `warm` when a run finds the controller's builds and the hosts' bundles of earlier runs. */
export type CacheState = "cold" | "warm";

/** The condition that all methods of a group share. */
export interface Condition {
  readonly cache: CacheState;
  /** Added between controller and hosts, in milliseconds there and back. */
  readonly roundTripMs: number;
}

/** The result of one host in one run. */
export interface HostResult {
  readonly host: string;
  readonly outcome: Outcome;
  readonly tally: Tally;
}

/** A timed run. Values that could not be measured are undefined. */
export interface Sample extends Condition {
  /** The method's name. */
  readonly method: string;
  /** Counted from 1; the samples of a round are compared with each other. */
  readonly round: number;
  /** From starting the process to its end. */
  readonly wallMs: number;
  /** Processor time here, of the process and its children: user and system. */
  readonly controllerCpuMs: number | undefined;
  /** Processor time of the hosts, added up; see {@link Comparison.remoteCpu}. */
  readonly remoteCpuMs: number | undefined;
  /** From controller to hosts, SSH included, added up over the hosts. */
  readonly sentBytes: number | undefined;
  readonly receivedBytes: number | undefined;
  /** Number of times that the controller sent data to a host after its answer: mean over the hosts. */
  readonly flights: number | undefined;
  /** Each is the median over hosts. Empty of commands. */
  readonly phasesMs: Readonly<Partial<Record<ComparedPhase, number>>>;
  /** Empty of commands. */
  readonly hosts: readonly HostResult[];
  /** The run's name. */
  readonly run: string | undefined;
}

/** Source of the hosts' processor time: the login user's cgroup, the agent itself, or none. */
export type RemoteCpuSource = "cgroup" | "target" | "none";

/** A round trip time that was added, and the measured one. */
export interface MeasuredRoundTrip {
  readonly addedMs: number;
  /** Median round trip of one byte through a proxy to this machine. */
  readonly measuredMs: number;
}

/** All measurements. */
export interface Comparison {
  readonly playbook: string;
  readonly hosts: readonly string[];
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  readonly elapsedMs: number;
  /** The others are compared with the first. */
  readonly methods: readonly Method[];
  readonly conditions: readonly Condition[];
  /** Wanted runs of each method under each condition. */
  readonly runs: number;
  readonly warmUps: number;
  readonly roundTrips: readonly MeasuredRoundTrip[];
  readonly remoteCpu: RemoteCpuSource;
  readonly samples: readonly Sample[];
  /** Notes for the reader: missing measurements, with their reasons. */
  readonly notes: readonly string[];
  /** True when the comparison was ended early. */
  readonly cancelled: boolean;
}

/** Describe a condition: `warm caches, 20 ms round trip added`. */
export function conditionLabel({ cache, roundTripMs }: Condition): string {
  return `${cache} caches, ${roundTripMs === 0 ? "no delay added" : `${roundTripMs} ms round trip added`}`;
}

/** Return the samples of a method under a condition, in the order of rounds. */
export function samplesOf(
  samples: readonly Sample[],
  method: string,
  { cache, roundTripMs }: Condition,
): readonly Sample[] {
  return samples
    .filter((each) => each.method === method && each.cache === cache && each.roundTripMs === roundTripMs)
    .sort((one, other) => one.round - other.round);
}

/** The methods of Volley's own runs. */
const VIAS = ["bundle", "direct"];
const NAME = /^[\w][\w .+-]*$/;

/** The placeholder of the inventory in a command. */
export const INVENTORY_PLACEHOLDER = "{inventory}";

/**
 * Parse the methods of `--methods` and `--also`, in this order. `ansible=site.yml` is short for `ansible-playbook` with
 * `inventories`, those in Ansible's formats, and the one that leads through the proxies. Fails with `USAGE`.
 */
export function parseMethods(
  names: readonly string[],
  also: readonly string[],
  inventories: readonly string[],
): readonly Method[] {
  const own = names.map((name): Method => {
    if (VIAS.includes(name)) return { kind: "volley", name, via: name };
    throw new VolleyError(
      "USAGE",
      `there is no method ${JSON.stringify(name)}: --methods takes ${VIAS.join(", ")}`,
      {
        hint: "any other command is named with --also NAME=COMMAND",
      },
    );
  });
  const others = also.map((text): Method => {
    const at = text.indexOf("=");
    const [name, line] = [text.slice(0, at).trim(), text.slice(at + 1).trim()];
    if (at < 1 || !NAME.test(name) || line === "") {
      throw new VolleyError("USAGE", `--also takes NAME=COMMAND, not ${JSON.stringify(text)}`, {
        hint: `write: --also 'ansible=site.yml', or --also 'script=./deploy.sh ${INVENTORY_PLACEHOLDER}'`,
      });
    }
    return { kind: "command", name, line: name === "ansible" ? ansibleLine(line, inventories) : line };
  });
  const methods = [...own, ...others];
  const twice = methods.find(({ name }, index) => methods.findIndex((each) => each.name === name) !== index);
  if (twice !== undefined) throw new VolleyError("USAGE", `two methods are called ${twice.name}`);
  if (methods.length === 0)
    throw new VolleyError("USAGE", "there is nothing to compare: name methods with --methods or --also");
  return methods;
}

function ansibleLine(line: string, inventories: readonly string[]): string {
  if (!/^\S+\.ya?ml$/.test(line)) return line;
  // The vars of a later inventory replace those of an earlier one.
  const given = inventories.map((path) => `-i ${quote(path)} `).join("");
  return `ansible-playbook ${given}-i ${INVENTORY_PLACEHOLDER} ${quote(line)}`;
}
