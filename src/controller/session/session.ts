import type { SerializedError } from "../../core/errors.ts";
import type { ControllerEvent, HostEnd, ReceivedEvent } from "../../core/events.ts";
import type { Command, Job, JobSession, Question } from "../../core/protocol.ts";
import type { Become } from "../../core/unix/users.ts";
import type { DirectPlaybook } from "../../direct/serve.ts";
import type { Endpoint, Transport } from "../../transport/transport.ts";
import type { Mask } from "../../vars/mask.ts";
import type { Place } from "../schedule/places.ts";
import type { EndReason, NodeSetup, PlayLimit, Via } from "./state.ts";
import type { EarlierPart } from "./told.ts";

/** Options of a session. */
export interface SessionOptions {
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  /** `file`: the bundle's place on this machine, where it is started from. Default: it is sent to the host. */
  readonly bundle: {
    readonly id: string;
    readonly bytes: Buffer;
    readonly reused: boolean;
    readonly file?: string;
  };
  readonly job: Job & { readonly session: JobSession };
  /** The user to become on the host, and how. */
  readonly become: Become | null;
  /** Masks secrets in standard error; `emit` and `ask` mask the rest. */
  readonly mask: Mask | null;
  emit(event: ReceivedEvent | ControllerEvent): void;
  /** Take a question of the host, which `tell` answers. */
  ask(question: Question): void;
  /**
   * Keep the whole result of a task for other hosts; called before the event that ends the task. The host keeps the result
   * until the promise, if any, has resolved.
   */
  keepResult(task: number, whole: string | undefined): Promise<void> | void;
  /** Return an error from the playbook's code with its place in the source. */
  locate(error: SerializedError): SerializedError;
  /** Milliseconds from starting the bundle to its `hello`. */
  readonly startTimeoutMs: number;
  /** Milliseconds to try a lost host again. */
  readonly returnTimeoutMs: number;
  /** Milliseconds to try a host again that is not there yet. */
  readonly waitMs: number;
  /** False when the bundle is no longer the one that the run began with: the host may then only report. */
  readonly mayLaunch: boolean;
  readonly via: Via;
  readonly node: NodeSetup;
  /** Return the archive of the runtime with this id. Fails with `RUNTIME_FAILED`. */
  readRuntime(id: string): Promise<Buffer>;
  /** Carried out where no bundle is sent. */
  readonly playbook: DirectPlaybook;
  /** The host's part as the log of an earlier controller has it. */
  readonly earlier: EarlierPart | undefined;
}

/** A host's part of a run, from connecting to its end, as the rest of the controller sees it. Errors become outcomes. */
export interface HostSession {
  readonly host: string;
  readonly isOver: boolean;
  /** Resolves once the host's part is over. */
  readonly end: Promise<HostEnd>;
  /** Return whether the host is at the play with this index. */
  isAt(index: number): boolean;
  /** Return whether the host ended, or failed, before it reached the play with this index. */
  hasEndedBefore(index: number): boolean;
  /**
   * Resolve when the host has ended the play with this index, or altogether: true when it failed, was not reached or
   * was lost.
   */
  playEnd(index: number): Promise<boolean>;
  /** Connect, and begin the first play. The session lends the place to other hosts while the host does not answer. */
  begin(place: Place): void;
  /** Go on after the play with this index. */
  goOn(after: number): void;
  /** Limit the time of the play that begins now. */
  limit(limit: PlayLimit): void;
  /** Send a command to the host, and send it again whenever the host was lost. */
  tell(command: Command): void;
  /** End after the action now running. `why` becomes the outcome, unless the host had failed before. */
  cancel(why?: EndReason): void;
  /** End now, and end the running action too. */
  kill(): void;
}

/** A session whose connection is this process's own. */
export interface HeldSession extends HostSession {
  /** Close the connection and do nothing more. The host goes on by itself, and another session may attach to it. */
  letGo(): void;
}
