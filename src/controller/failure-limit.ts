import type { SerializedError } from "../core/errors.ts";
import type { PlaySchedule } from "../core/play-schedule.ts";

/** Counts the hosts of one batch that fail, until they are too many for the run to go on. */
export interface FailureLimit {
  /** Takes in that a host has failed; gives why the run is to end, when it is. */
  add(host: string): SerializedError | undefined;
}

/** What a batch is called. */
export interface BatchOf {
  readonly play: PlaySchedule & { readonly name: string };
  /** Counted from 1. */
  readonly batch: number;
  /** How many hosts are in it. */
  readonly size: number;
}

const MAX_NAMES = 5;

/**
 * The limit of a batch, as Ansible counts: `maxFailPercentage` must be exceeded, `anyErrorsFatal` is any, and of a
 * serial play a batch that failed as a whole is enough.
 */
export function limitFailures({ play, batch, size }: BatchOf): FailureLimit {
  const { serial, maxFailPercentage, anyErrorsFatal } = play;
  const failed: string[] = [];
  const why = (): string | undefined => {
    if (anyErrorsFatal === true) return "any error is fatal there";
    if (maxFailPercentage !== undefined && failed.length * 100 > maxFailPercentage * size)
      return `more than ${maxFailPercentage} % of ${size} hosts`;
    return serial !== undefined && failed.length === size ? `all of batch ${batch}` : undefined;
  };
  return {
    add: (host) => {
      failed.push(host);
      const reason = why();
      if (reason === undefined) return undefined;
      const more = failed.length - MAX_NAMES;
      const names = `${failed.slice(0, MAX_NAMES).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
      return { code: "OTHERS_FAILED", message: `${names} failed in play "${play.name}": ${reason}` };
    },
  };
}
