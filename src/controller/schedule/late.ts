import { serializeError } from "../../core/errors.ts";
import type { ControllerEvent } from "../../core/events.ts";
import { EMPTY_TALLY } from "../../core/result.ts";
import type { PlayHosts } from "../prepare/plan.ts";
import type { Plan } from "../prepare/prepare.ts";
import type { HostSession } from "../session/session.ts";
import type { Sessions } from "./sessions.ts";

/** An open play, once the plays before it have ended. */
interface Met {
  /** The plays, with the hosts that have joined. */
  readonly plays: readonly PlayHosts[];
  /** The names of the hosts that the play is for. */
  readonly names: readonly string[];
  /** The sessions of the hosts that have joined. */
  readonly joined: readonly HostSession[];
}

/**
 * Find the hosts of an open play, and open sessions for those that tasks have added: they take part in it, and in the
 * open plays after it. A host that cannot be reached by its vars ends as unreachable.
 */
export async function meetLateHosts(
  { index, play }: PlayHosts,
  plays: readonly PlayHosts[],
  {
    late,
    byHost,
    open,
    emit,
  }: Pick<Plan, "late"> & Pick<Sessions, "byHost" | "open"> & { emit(event: ControllerEvent): void },
): Promise<Met> {
  const found = late?.select(play.hosts) ?? [];
  const fresh = found.filter(({ name }) => !byHost.has(name));
  const extended = plays.map((entry) =>
    entry.mayJoin !== undefined && entry.index >= index
      ? { ...entry, hosts: [...entry.hosts, ...fresh] }
      : entry,
  );
  const joined: HostSession[] = [];
  for (const host of fresh) {
    try {
      joined.push(open(await late!.admit(host, extended)));
    } catch (thrown) {
      emit({
        type: "host:end",
        host: host.name,
        outcome: "unreachable",
        tally: EMPTY_TALLY,
        elapsedMs: 0,
        phases: {},
        uploadedBytes: 0,
        error: serializeError(thrown),
      });
    }
  }
  return { plays: extended, names: found.map(({ name }) => name), joined };
}
