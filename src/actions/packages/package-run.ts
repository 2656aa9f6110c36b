import * as v from "valibot";
import { type ActionContext, ActionFailure } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ProcessOptions, ProcessResult, ReadSystem } from "../../core/system.ts";
import { failureText } from "../shared/run-tool.ts";

// What the actions of the smaller package managers share.

/** A package that comes, goes or changes its version. */
export interface PackageChange {
  readonly name: string;
  readonly before: string | null;
  readonly after: string | null;
}

/** The output of a package manager. */
export type Output = Pick<ProcessResult, "stdout" | "stderr">;

/** A parameter of package names: a text with commas, or a list. */
export function names(description: string) {
  return v.optional(
    v.pipe(
      v.union([v.string(), v.array(v.string())]),
      v.transform((value): readonly string[] =>
        (typeof value === "string" ? value.split(",") : value)
          .map((name) => name.trim())
          .filter((name) => name !== ""),
      ),
      v.check((list) => list.every((name) => !name.startsWith("-")), "a name must not begin with a dash"),
      v.description(description),
    ),
  );
}

/** Fail with `ACTION_FAILED` where the host lacks the program. */
export async function requireProgram(system: ReadSystem, program: string): Promise<void> {
  if ((await system.which(program)) !== null) return;
  throw new VolleyError("ACTION_FAILED", `the host has no ${program.replace(/^.*\//, "")}`, {
    hint: "the action `package` takes the package manager that the host has",
  });
}

/** Options of every run: messages in English. */
export function runOptions({ signal, output }: ActionContext): ProcessOptions {
  return { env: { LC_ALL: "C" }, signal, onOutput: output };
}

/** Options of every question: messages in English, and no live output. */
export function askOptions({ signal }: ActionContext): ProcessOptions {
  return { env: { LC_ALL: "C" }, signal, maxOutput: 64 << 20 };
}

/** Make the failure of a run, with its output. */
export function runFailure(result: ProcessResult, attempted: string): ActionFailure {
  const { code: rc, stdout, stderr, argv } = result;
  return new ActionFailure("ACTION_FAILED", `${attempted}: ${failureText(result)}`, {
    rc,
    stdout,
    stderr,
    cmd: argv,
  });
}

/** Format changes as a diff with one line per package. */
export function changesDiff(changes: readonly PackageChange[]): Diff {
  const text = (side: "before" | "after"): string =>
    [...changes]
      .sort((one, other) => (one.name < other.name ? -1 : 1))
      .flatMap((change) => (change[side] === null ? [] : [`${change.name} ${change[side]}`.trim()]))
      .map((line) => `${line}\n`)
      .join("");
  return { path: "packages", before: text("before"), after: text("after") };
}
