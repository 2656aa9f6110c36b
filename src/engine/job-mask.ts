import { createMask, type Mask } from "../core/mask.ts";
import type { Job } from "../core/protocol.ts";

const masks = new WeakMap<Job, Mask | null>();

/** Secrets of other hosts that this one has been told of. */
const others = new WeakMap<Job, Set<string>>();

/** Has other hosts' secrets masked too, from here on. */
export function maskToo(job: Job, secrets: readonly string[]): void {
  const known = others.get(job) ?? new Set();
  for (const secret of secrets) known.add(secret);
  others.set(job, known);
  masks.delete(job);
}

/** The mask of a Job's secrets, made once; null when it has none. */
export function maskOfJob(job: Job): Mask | null {
  let mask = masks.get(job);
  if (mask === undefined) {
    mask = createMask([...(job.secrets ?? []), ...(others.get(job) ?? [])]);
    masks.set(job, mask);
  }
  return mask;
}
