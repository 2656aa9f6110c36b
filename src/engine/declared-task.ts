import type { ActionCall } from "../core/action.ts";
import type { LoopOptions, TaskOptions } from "../core/role.ts";
import type { HandleControl } from "./task-handle.ts";

/** A task as its role declared it, waiting for its turn. */
export interface DeclaredTask {
  readonly kind: "task";
  readonly name: string;
  /** The action's name; of a loop, that of its first item. */
  readonly action: string;
  readonly call: ActionCall | ((item: unknown) => ActionCall);
  readonly options: TaskOptions<string, never> & Partial<LoopOptions<unknown, string, never>>;
  readonly control: HandleControl;
  readonly handler: boolean;
}

/** Something in a role's queue. */
export type Queued = DeclaredTask | { readonly kind: "flush" };
