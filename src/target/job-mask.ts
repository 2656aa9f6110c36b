import { createMask, type Mask } from "../core/mask.ts";
import type { Job } from "../core/protocol.ts";

const masks = new WeakMap<Job, Mask | null>();

/** The mask of a Job's secrets, made once; null when it has none. */
export function maskOfJob(job: Job): Mask | null {
  let mask = masks.get(job);
  if (mask === undefined) {
    mask = createMask(job.secrets ?? []);
    masks.set(job, mask);
  }
  return mask;
}
