import { safeLine } from "../rows/sanitize.ts";
import { statusText } from "./host-status.ts";
import type { HostView, RunView } from "./model.ts";
import type { ViewState } from "./view-state.ts";

/** Whether something went wrong on a host, also while its run goes on. */
export function hasFailed(host: HostView): boolean {
  return (
    host.failedTask !== undefined ||
    (host.outcome !== undefined && host.outcome !== "ok" && host.outcome !== "cancelled")
  );
}

/** The hosts to list, in order: failures, then running, then done, then those whose turn has not come. */
export function listedHosts(run: RunView, view: ViewState): readonly HostView[] {
  const wanted = view.filter.toLowerCase();
  return run.hosts
    .filter((host) => (!view.failedOnly || hasFailed(host)) && (wanted === "" || matches(host, wanted)))
    .map((host) => ({ host, rank: rank(host) }))
    .sort((one, other) => one.rank - other.rank || one.host.index - other.host.index)
    .map(({ host }) => host);
}

function matches(host: HostView, wanted: string): boolean {
  return `${safeLine(host.name)} ${host.outcome ?? host.phase} ${statusText(host)}`
    .toLowerCase()
    .includes(wanted);
}

function rank(host: HostView): number {
  if (hasFailed(host)) return 0;
  if (host.phase === "waiting") return 3;
  return host.phase === "done" ? 2 : 1;
}
