import type { Job } from "../core/protocol.ts";
import { decodeWhole, encodeWhole } from "./whole-value.ts";

type WithVars = Pick<Job, "vars" | "hostVars">;

/**
 * A Job whose vars JSON can carry with nothing lost, data marked as such included: what is sent to a host, and what a
 * carried bundle holds of one.
 */
export function encodeVars<J extends WithVars>(job: J): J {
  return { ...job, vars: encodeWhole(job.vars), hostVars: encodeWhole(job.hostVars) };
}

/** What {@link encodeVars} was given. */
export function decodeVars<J extends WithVars>(job: J): J {
  return { ...job, vars: decodeWhole(job.vars), hostVars: decodeWhole(job.hostVars) };
}
