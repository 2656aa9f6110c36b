import type { ActionCall } from "../../../src/core/action.ts";

/** A case of one action on a real host: check (nothing touched), apply (changed), apply again (unchanged). */
export interface ActionCase {
  readonly name: string;
  readonly call: ActionCall;
  /** A shell script run as root on the host beforehand. */
  readonly prepare?: string;
  /** A shell script run as root that must succeed once applied, and (unless `verifiedBefore`) fail before. */
  readonly verify: string;
  /** A shell script that succeeds where the host can do it; else the case is skipped, with the reason. */
  readonly needs?: { readonly test: string; readonly reason: string };
  /** Set when the verify script holds beforehand too. */
  readonly verifiedBefore?: boolean;
  /** The state of the second application. Default `unchanged`. */
  readonly again?: "unchanged" | "changed" | "skipped";
  /** The state in check mode. Default `changed`. */
  readonly check?: "changed" | "unknown" | "failed";
}
