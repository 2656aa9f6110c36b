import type { Host } from "../../core/inventory.ts";
import type { Job, JobSession } from "../../core/protocol.ts";
import type { BecomePlay } from "../prepare/reach.ts";
import type { LeftSecret } from "./left-secrets.ts";

/** The label of workers that take the hosts whose inventory names none. */
export const DEFAULT_LABEL = "default";

/** A host whose part of a run a worker carries out. */
export interface QueuedHost {
  readonly name: string;
  /** Workers with this label take it. */
  readonly label: string;
  readonly way: WorkerWay;
  /** Without the users to become: the worker knows the login user. */
  readonly job: Job & { readonly session: JobSession };
  /** The secrets whose placeholders are in the job and in the way. */
  readonly secrets: readonly LeftSecret[];
}

/** The data from which a worker finds the way to a host, and the users to work as on the host. */
export interface WorkerWay {
  /** `vars` are those about connections alone. */
  readonly host: Pick<Host, "name" | "connection" | "vars" | "sources">;
  readonly plays: readonly BecomePlay[];
}
