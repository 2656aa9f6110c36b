import * as v from "valibot";
import { ActionFailure, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { describe, optionalText, text } from "../shared/params.ts";
import { expandPath } from "../shared/paths.ts";
import { failureText } from "../shared/run-tool.ts";

const params = v.pipe(
  v.strictObject({
    chdir: text("The directory to run make in."),
    target: optionalText("The target, such as `install`. Default: the makefile's first."),
    targets: v.optional(describe(v.array(v.string()), "Several targets, in order.")),
    params: v.optional(
      describe(
        v.record(v.string(), v.nullable(v.union([v.string(), v.number(), v.boolean()]))),
        "Variables for the makefile; null gives the name alone.",
      ),
    ),
    file: optionalText("The makefile to use."),
    jobs: v.optional(describe(v.pipe(v.number(), v.integer()), "Jobs to run at a time.")),
    make: optionalText("The program. Default: `gmake` where there is one, else `make`."),
  }),
  v.check(
    ({ target, targets }) => target === undefined || targets === undefined,
    "give target or targets, not both",
  ),
);

type MakeParams = v.InferOutput<typeof params>;

/** The data of a make task. */
interface MakeData {
  readonly chdir: string;
  readonly command: string;
  readonly target: string | null;
  readonly targets: readonly string[] | null;
  readonly params: MakeParams["params"] | null;
  readonly file: string | null;
  readonly jobs: number | null;
  readonly rc?: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface MakeChange extends Change {
  readonly argv: readonly string[];
  readonly directory: string;
}

/** Run make. */
export const make = defineAction<typeof params, MakeChange, MakeData>({
  name: "make",
  doc: "Run a target of a makefile, unless make says that it is up to date (`make --question`).",
  params,
  examples: [
    { chdir: "/usr/local/src/app" },
    { chdir: "/usr/local/src/app", target: "install", params: { PREFIX: "/opt" } },
  ],
  title: ({ chdir, target, targets }) => `${[target ?? targets ?? []].flat().join(" ")} in ${chdir}`.trim(),

  async inspect(given, system, { facts, signal }) {
    const directory = await expandPath(system, given.chdir, facts.env);
    if ((await system.stat(directory))?.type !== "directory")
      throw new VolleyError("ACTION_FAILED", `there is no directory ${directory} to run make in`);
    const argv = await commandOf(given, system);
    const asked = await system.query([...argv, "--question"], { cwd: directory, signal });
    if (asked.code === 0) return unchanged(dataOf(given, argv, asked));
    return { argv, directory };
  },

  async apply({ argv, directory }, given, system, { signal, output }) {
    const made = await system.run(argv, { cwd: directory, signal, onOutput: output });
    const data = { ...dataOf(given, argv, made), rc: made.code };
    if (made.code !== 0) throw new ActionFailure("ACTION_FAILED", `make failed: ${failureText(made)}`, data);
    return { data };
  },
});

async function commandOf(given: MakeParams, system: ReadSystem): Promise<readonly string[]> {
  const { target, targets, params: variables = {}, file, jobs } = given;
  const program = given.make ?? ((await system.which("gmake")) === null ? "make" : "gmake");
  if ((await system.which(program)) === null)
    throw new VolleyError("ACTION_FAILED", `there is no ${program} on this host; install the package make`);
  return [
    program,
    ...(file === undefined ? [] : ["-f", file]),
    ...(jobs === undefined ? [] : ["-j", String(jobs)]),
    ...(target === undefined ? (targets ?? []) : [target]),
    ...Object.entries(variables).map(([name, value]) => (value === null ? name : `${name}=${String(value)}`)),
  ];
}

function dataOf(
  { chdir, target, targets, params: variables, file, jobs }: MakeParams,
  argv: readonly string[],
  { stdout, stderr }: { readonly stdout: string; readonly stderr: string },
): MakeData {
  return {
    chdir,
    command: argv.join(" "),
    target: target ?? null,
    targets: targets ?? null,
    params: variables ?? null,
    file: file ?? null,
    jobs: jobs ?? null,
    stdout,
    stderr,
  };
}
