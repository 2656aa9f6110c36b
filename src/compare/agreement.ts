import { VolleyError } from "../core/errors.ts";
import { TALLY_KEYS } from "../core/result.ts";
import type { HostResult, Sample } from "./comparison.ts";

type Told = Pick<Sample, "method" | "cache" | "round" | "hosts">;

const MAX_NAMED = 3;

/**
 * Refuses a run that has done something else than the one before it: the two are no two ways of the same work. Runs that
 * tell of no hosts are passed over. Fails with `COMPARE_FAILED`.
 */
export function requireAgreement(first: Told, other: Told): void {
  if (first.hosts.length === 0 || other.hosts.length === 0) return;
  const before = new Map(first.hosts.map((host) => [host.host, describeResult(host)]));
  const after = new Map(other.hosts.map((host) => [host.host, describeResult(host)]));
  const differing = [...new Set([...before.keys(), ...after.keys()])].filter(
    (host) => before.get(host) !== after.get(host),
  );
  if (differing.length === 0) return;
  const named = differing
    .slice(0, MAX_NAMED)
    .map((host) => `${host}: ${before.get(host) ?? "not there"}, then ${after.get(host) ?? "not there"}`);
  const more = differing.length > MAX_NAMED ? `; and ${differing.length - MAX_NAMED} more hosts` : "";
  throw new VolleyError(
    "COMPARE_FAILED",
    `${nameOf(first)} and ${nameOf(other)} did not do the same, so they are not compared: ${named.join("; ")}${more}`,
    { hint: "bring the hosts to the same state before every run with --reset or --reset-hosts" },
  );
}

function nameOf({ method, cache, round }: Told): string {
  return `${method} (${cache}, run ${round})`;
}

function describeResult({ outcome, tally }: HostResult): string {
  const counts = TALLY_KEYS.filter((key) => tally[key] > 0).map(
    (key) => `${tally[key]} ${key === "notExecuted" ? "not executed" : key}`,
  );
  return `${outcome} with ${counts.join(", ") || "no tasks"}`;
}
