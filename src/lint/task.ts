import type { TaskNode } from "../ansible/ir.ts";
import type { Entry, Mapping } from "../ansible/load/read.ts";
import type { SourceLocation } from "../core/errors.ts";
import type { LintFile } from "./source.ts";
import type { Unit } from "./unit.ts";

/** The surroundings of a list of tasks. */
export interface Surroundings {
  readonly unit: Unit;
  readonly source: LintFile;
  readonly isHandlers: boolean;
  /** True where no loop of an include can give `item`. */
  readonly isOutermost: boolean;
  /** True where a module may get arguments from `module_defaults`. */
  readonly hasDefaults: boolean;
  /** True within a block whose failures are caught. */
  readonly isCaught: boolean;
}

/** A task that is looked at. */
export interface LintTask extends Surroundings {
  readonly node: TaskNode;
  readonly mapping: Mapping;
  /** The module's key with its arguments. */
  readonly call: Entry | undefined;
  readonly at: SourceLocation;
}
