import * as v from "valibot";
import { ActionFailure, type Applied, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ProcessResult, ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { flag, oneOf, optionalText } from "../shared/params.ts";
import { failureText } from "../shared/run-tool.ts";
import { APT_ENVIRONMENT } from "./apt-get.ts";

const absolute = (description: string) =>
  v.pipe(v.string(), v.startsWith("/", "must be an absolute path"), v.description(description));

const params = v.pipe(
  v.strictObject({
    path: absolute("The file, as packages name it."),
    state: oneOf(["present", "absent"], "present", "Divert it, or end the diversion."),
    divert: v.optional(absolute("Where packages put the file instead. Default: `path` with `.distrib`.")),
    holder: optionalText(
      "The package whose version is not diverted. Default: `LOCAL`, which diverts those of all packages.",
    ),
    rename: flag("Move the file aside when the diversion begins, and back when it ends."),
    force: flag("With `rename`, replace a file that stands in the way."),
  }),
  v.check(({ path, divert }) => path !== divert, "path cannot be diverted to itself"),
);

type DivertParams = v.InferOutput<typeof params>;

/** The diversion of a file. */
interface Diversion {
  readonly path: string;
  readonly state: "present" | "absent";
  /** Null without a diversion. */
  readonly divert: string | null;
  readonly holder: string | null;
}

/** The data of a dpkg_divert task. */
interface DivertData {
  readonly diversion: Diversion;
  readonly commands: readonly string[];
  /** The answer of dpkg-divert. */
  readonly messages: readonly string[];
}

interface DivertChange extends Change {
  readonly before: Diversion;
  readonly data: DivertData;
}

/** Keep a package's file from its usual place. */
export const dpkg_divert = defineAction<typeof params, DivertChange, DivertData>({
  name: "dpkg_divert",
  doc: "Divert a file of a package: all versions that packages bring are put elsewhere, so that the file at `path` is yours to keep. The file itself is moved only with `rename`, and not when just the target or the holder of a diversion changes.",
  params,
  examples: [
    { path: "/etc/default/grub", rename: true },
    { path: "/usr/bin/busybox", divert: "/usr/bin/busybox.dpkg-divert", holder: "branding" },
    { path: "/usr/bin/busybox", state: "absent", rename: true, force: true },
  ],
  title: ({ path, state }) => (state === "absent" ? `${path} absent` : path),

  async inspect(given, system, { signal }) {
    const before = await readDiversion(given.path, system, signal);
    const diversion = wantedDiversion(given);
    const argvs = commandsFor(given, before);
    const commands = argvs.map((argv) => argv.join(" "));
    if (before.divert === diversion.divert && before.holder === diversion.holder) {
      const message =
        diversion.state === "present"
          ? `Leaving '${describeDiversion(diversion)}'`
          : `No diversion 'any diversion of ${given.path}', none removed.`;
      return unchanged({ diversion, commands, messages: [message] });
    }
    const messages = [
      ...(before.state === "present" ? [`Removing '${describeDiversion(before)}'`] : []),
      ...(diversion.state === "present" ? [`Adding '${describeDiversion(diversion)}'`] : []),
    ];
    return {
      before,
      data: { diversion, commands, messages },
      diff: {
        path: `diversion of ${given.path}`,
        before: `${JSON.stringify(before, undefined, 4)}\n`,
        after: `${JSON.stringify(diversion, undefined, 4)}\n`,
      },
    };
  },

  async apply({ before, data }, given, system, { signal }): Promise<Applied<DivertData>> {
    if (given.rename && given.force) await clearTheWay(given, before, system);
    const messages: string[] = [];
    for (const argv of commandsFor(given, before)) {
      const result = await system.run(argv, { env: APT_ENVIRONMENT, signal });
      if (result.code !== 0) throw refusal(given, before, result);
      messages.push(...result.stdout.split("\n").filter((line) => line !== ""));
    }
    return { data: { ...data, messages } };
  },
});

function wantedDiversion({ path, state, divert, holder }: DivertParams): Diversion {
  return state === "absent"
    ? { path, state, divert: null, holder: null }
    : { path, state, divert: divert ?? `${path}.distrib`, holder: holder ?? "LOCAL" };
}

function describeDiversion({ path, divert, holder }: Diversion): string {
  const what = `diversion of ${path} to ${divert}`;
  return holder === "LOCAL" ? `local ${what}` : `${what} by ${holder}`;
}

function commandsFor(
  { path, state, divert, holder, rename }: DivertParams,
  before: Diversion,
): readonly (readonly string[])[] {
  const wanted = wantedDiversion({ path, state, divert, holder, rename, force: false });
  const isOther =
    state === "present" &&
    before.state === "present" &&
    (before.divert !== wanted.divert || before.holder !== wanted.holder);
  // dpkg-divert refuses to change a diversion: the old one has to go first, with the file left where it is.
  const moves = rename && !isOther ? "--rename" : "--no-rename";
  const remove = ["dpkg-divert", isOther ? "--no-rename" : moves, "--remove", path];
  if (state === "absent") return [remove];
  const holds = holder === undefined || holder === "LOCAL" ? ["--local"] : ["--package", holder];
  const target = divert === undefined ? [] : ["--divert", divert];
  const add = ["dpkg-divert", moves, ...holds, ...target, "--add", path];
  return isOther ? [remove, add] : [add];
}

async function readDiversion(path: string, system: ReadSystem, signal: AbortSignal): Promise<Diversion> {
  const [holder, target] = await Promise.all(
    ["--listpackage", "--truename"].map(async (what) => {
      const asked = await system.query(["dpkg-divert", what, path], { env: APT_ENVIRONMENT, signal });
      if (asked.code === 0) return asked.stdout.trim();
      throw new VolleyError("ACTION_FAILED", `cannot read the diversion of ${path}: ${failureText(asked)}`);
    }),
  );
  return holder === undefined || holder === ""
    ? { path, state: "absent", divert: null, holder: null }
    : { path, state: "present", divert: target ?? null, holder };
}

/** Remove the file that a rename would have to replace; nothing unless there is a file to put in its place. */
async function clearTheWay(given: DivertParams, before: Diversion, system: System): Promise<void> {
  const { path, state } = given;
  // A diversion that is changed leaves the file where it is.
  if (state === before.state) return;
  const aside = (state === "present" ? wantedDiversion(given) : before).divert ?? path;
  const [from, to] = state === "present" ? [path, aside] : [aside, path];
  if ((await system.lstat(from)) !== null && (await system.lstat(to)) !== null) await system.remove(to);
}

function refusal(given: DivertParams, diversion: Diversion, result: ProcessResult): ActionFailure {
  const { code: rc, stdout, stderr } = result;
  const isInTheWay = given.rename && !given.force && stderr.includes("overwriting");
  return new ActionFailure(
    "ACTION_FAILED",
    isInTheWay
      ? `cannot divert ${given.path}: ${failureText(result)}; set force to replace the file that is in the way`
      : `cannot change the diversion of ${given.path}: ${failureText(result)}`,
    { diversion, rc, stdout, stderr },
  );
}
