import type { SerializedError } from "../core/errors.ts";
import { type ErrorDetails, VolleyError } from "../core/errors.ts";
import { formatNodeSet } from "../patterns/names.ts";

/** The part of a result that every kind of work has. */
export interface HostEnd {
  readonly host: string;
  /** True when all that was asked for was done. */
  readonly ok: boolean;
  /** The failure; absent where the work is done, and where only its exit code or signal tells of a failure. */
  readonly error?: SerializedError | undefined;
}

/** The results of work on many hosts, by the host's name, in the order of the hosts. */
export class Results<R extends HostEnd> extends Map<string, R> {
  /** The results of the hosts where all went well. */
  get ok(): readonly R[] {
    return [...this.values()].filter(({ ok }) => ok);
  }

  /** The other results. */
  get failed(): readonly R[] {
    return [...this.values()].filter(({ ok }) => !ok);
  }

  /** Return these results, or throw a {@link HostsFailed} where a host has failed. */
  orThrow(): this {
    if (this.failed.length > 0) throw new HostsFailed(this);
    return this;
  }

  /** Group the hosts by what `keyOf` returns, equal as JSON: the largest group first, equal ones in the hosts' order. */
  foldBy<K>(keyOf: (result: R) => K): readonly Folded<R, K>[] {
    const groups = new Map<string, { readonly key: K; readonly results: R[] }>();
    for (const result of this.values()) {
      const key = keyOf(result);
      const text = JSON.stringify(key) ?? "";
      const group = groups.get(text) ?? { key, results: [] };
      group.results.push(result);
      groups.set(text, group);
    }
    return [...groups.values()]
      .sort((one, other) => other.results.length - one.results.length)
      .map(({ key, results }) => {
        const names = results.map(({ host }) => host);
        return { hosts: formatNodeSet(names), names, key, results, result: results[0]! };
      });
  }
}

/** Hosts whose results are equal. */
export interface Folded<R, K> {
  /** Their names as a node set: `web[01-17,19]`. */
  readonly hosts: string;
  readonly names: readonly string[];
  /** The key that they have in common. */
  readonly key: K;
  readonly results: readonly R[];
  /** The first of their results. */
  readonly result: R;
}

/** Some hosts have failed; thrown by `orThrow` alone. */
export class HostsFailed<R extends HostEnd = HostEnd> extends VolleyError {
  /** The results of all hosts. */
  readonly results: Results<R>;

  constructor(results: Results<R>) {
    const { failed, size } = results;
    const reasons = results.foldBy(reasonOf).filter(({ result }) => !result.ok);
    const shown = reasons.slice(0, MAX_REASONS).map(({ hosts, key }) => `${hosts}: ${key}`);
    const more = reasons.length > MAX_REASONS ? "; …" : "";
    const [only] = failed;
    super(
      "HOSTS_FAILED",
      size === 1 ? shown.join("") : `${failed.length} of ${size} hosts failed: ${shown.join("; ")}${more}`,
      detailsOf(failed.length === 1 ? only : undefined),
    );
    this.results = results;
  }
}

const MAX_REASONS = 5;

function detailsOf(only: HostEnd | undefined): ErrorDetails {
  const hint = only?.error?.hint;
  return hint === undefined ? {} : { hint };
}

/** Return why a host has failed, without its name. */
function reasonOf({ host, ok, error, ...result }: HostEnd): string {
  if (ok) return "";
  if (error !== undefined) return error.message.replaceAll(`${host}: `, "");
  const { code, signal, outcome } = result as {
    readonly code?: number;
    readonly signal?: string;
    readonly outcome?: string;
  };
  if (outcome === "timedOut") return "the command took longer than its time limit";
  if (signal !== undefined) return `killed by ${signal.replace(/^SIG/, "")}`;
  return code === undefined ? (outcome ?? "failed") : `exit code ${code}`;
}
