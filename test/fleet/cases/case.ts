import type { ActionCall } from "../../../src/core/action.ts";

/** One action held, on a real host, to the order: check (nothing touched), apply (changed), apply again (unchanged). */
export interface ActionCase {
  readonly name: string;
  readonly call: ActionCall;
  /** A shell script run as root on the host beforehand. */
  readonly prepare?: string;
  /** A shell script run as root that must succeed once applied, and (unless `verifiedBefore`) fail before. */
  readonly verify: string;
  /** Set when the verify script holds beforehand too. */
  readonly verifiedBefore?: boolean;
  /** What the second application ends as. Default `unchanged`. */
  readonly again?: "unchanged" | "changed" | "skipped";
  /** What check mode says. Default `changed`. */
  readonly check?: "changed" | "unknown" | "failed";
}
