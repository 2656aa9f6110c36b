import { posix } from "node:path";
import * as v from "valibot";
import { type ActionContext, type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ProcessResult, ReadSystem, System } from "../../core/system.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { defineAction } from "../define.ts";
import { requiredIf } from "../shared/combinations.ts";
import { describe, flag, optionalText } from "../shared/params.ts";
import { missingDirectories } from "../shared/paths.ts";
import { failureText } from "../shared/run-tool.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";
import { findEntries, isMountOf, mountAt, plainPath, removeEntries, setEntry } from "./fstab.ts";

const STATES = [
  "mounted",
  "unmounted",
  "present",
  "absent",
  "absent_from_fstab",
  "remounted",
  "ephemeral",
] as const;
const WITH_SOURCE: readonly string[] = ["mounted", "present", "ephemeral"];
const IN_FSTAB: readonly string[] = ["present", "absent", "absent_from_fstab"];
const FSTAB = "/etc/fstab";

const params = v.pipe(
  v.strictObject({
    path: v.pipe(
      v.string(),
      v.regex(/^(?:\/|none$|swap$|-$)/, "must be an absolute path; `none` for swap space"),
      v.description("The mount point; `none` for swap space."),
    ),
    src: optionalText(
      "The device, file, directory or network share: `/dev/sdb1`, `UUID=…`, `server:/share`.",
    ),
    fstype: optionalText("The type of the file system, such as `ext4`, `nfs`; `none` for a bind mount."),
    opts: optionalText("Mount options. Default: `defaults`."),
    opts_no_log: flag("Keep the options out of the diff, for those that hold a password."),
    dump: v.optional(describe(v.string(), "The fifth field of fstab(5)."), "0"),
    passno: v.optional(describe(v.string(), "The sixth field of fstab(5)."), "0"),
    state: v.pipe(
      v.picklist(STATES),
      v.description(
        "`mounted`: mounted and in fstab. `present`: in fstab. `ephemeral`: mounted, whatever fstab says; always a change. `remounted`: mounted once more, always a change. `unmounted`: not mounted, whatever fstab says. `absent`: neither mounted nor in fstab, and the mount point removed; without a line in fstab nothing is done. `absent_from_fstab`: not in fstab.",
      ),
    ),
    fstab: v.optional(
      v.pipe(v.string(), v.startsWith("/", "must be an absolute path"), v.description("The file to use.")),
      FSTAB,
    ),
    boot: flag(
      "Mount it at boot; else the option `noauto` is added, unless the options are just `defaults`.",
      true,
    ),
    backup: flag("Keep a copy of the old fstab."),
  }),
  requiredIf("state", WITH_SOURCE, "src", "fstype"),
  v.check(
    ({ path, state }) => path.startsWith("/") || IN_FSTAB.includes(state),
    "swap space is not mounted: use state present, absent or absent_from_fstab",
  ),
);

type MountParams = v.InferOutput<typeof params>;

type Step =
  | { readonly do: "mount" | "remount" | "replace" | "unmount" | "remove directory" }
  | { readonly do: "make directories"; readonly paths: readonly string[] };

interface MountChange extends Change {
  readonly fstab: FileChange | null;
  /** The content of fstab before, to bring back when the mount fails; null where there was none. */
  readonly before: string | null;
  readonly steps: readonly Step[];
}

/** The data of a mount task. */
interface MountData {
  readonly name: string;
  readonly src?: string;
  readonly fstype?: string;
  readonly opts: string;
  readonly dump: string;
  readonly passno: string;
  readonly fstab: string;
  readonly boot: string;
  readonly backup_file?: string;
}

/** Mount file systems, now and at boot. */
export const mount = defineAction<typeof params, MountChange, MountData>({
  name: "mount",
  doc: `Mount a file system or unmount it, now and at boot by \`/etc/fstab\`.

The line of the mount point is changed in its place or added at the end; all other lines stay as they are. A mounted file system is remounted when its line changes, and unmounted and mounted again when that does not do. When mounting fails, fstab is as it was. Missing mount points are made.`,
  params,
  aliases: { name: "path" },
  examples: [
    { path: "/srv/data", src: "UUID=b3e48f45-f933-4c8e-a700-22a159ec9077", fstype: "ext4", state: "mounted" },
    { path: "/mnt/share", src: "server:/share", fstype: "nfs", opts: "ro,noauto", state: "present" },
    { path: "/mnt/share", state: "absent" },
  ],
  title: ({ path }) => path,

  async inspect(given, system, context): Promise<MountChange | Unchanged<MountData>> {
    const { path, state } = given;
    const bytes = await system.readIfExists(given.fstab);
    const before = bytes === null ? null : bytesToText(bytes);
    const fstab = await inspectFstab(given, bytes, system, context);
    const steps = await stepsFor(given, fstab !== null, before ?? "", system);
    const data = dataOf(given);
    if (fstab === null && steps.length === 0) return unchanged(data);
    const verb = steps.map((step) => step.do).filter((what) => !what.includes("director"))[0];
    const diff: readonly Diff[] = [
      ...(fstab === null ? [] : [given.opts_no_log ? { path: given.fstab, binary: true } : fstab.diff]),
      ...(verb === undefined
        ? []
        : [
            {
              path: `mount ${path}`,
              attributes: {
                state: [
                  verb === "mount" ? "unmounted" : "mounted",
                  verb === "unmount"
                    ? "unmounted"
                    : state === "ephemeral"
                      ? "mounted"
                      : verb === "mount"
                        ? "mounted"
                        : "remounted",
                ] as const,
              },
            },
          ]),
    ];
    return { fstab, before, steps, diff, data };
  },

  async apply({ fstab, before, steps }, given, system, { signal }) {
    const applied = fstab === null ? undefined : await applyFile(fstab, system);
    const made: string[] = [];
    try {
      for (const step of steps) {
        if (step.do === "make directories") {
          for (const directory of step.paths) {
            await system.makeDirectory(directory);
            made.push(directory);
          }
        } else await carryOut(step.do, given, system, signal);
      }
    } catch (thrown) {
      if (given.state === "mounted") await restore(given, before, fstab !== null, made, system);
      throw thrown;
    }
    return { data: { ...dataOf(given), ...applied?.data } };
  },
});

function optionsOf({ opts, boot, state }: MountParams): string {
  const options = opts ?? "defaults";
  // Ansible leaves `defaults` alone, whatever boot says.
  return boot || state === "ephemeral" || options === "defaults" || options.split(",").includes("noauto")
    ? options
    : `${options},noauto`;
}

function dataOf(given: MountParams): MountData {
  const { path, src, fstype, dump, passno, fstab, boot } = given;
  return {
    name: path,
    ...(src === undefined ? {} : { src }),
    ...(fstype === undefined ? {} : { fstype }),
    ...{ opts: optionsOf(given), dump, passno, fstab, boot: boot ? "yes" : "no", backup_file: "" },
  };
}

async function inspectFstab(
  given: MountParams,
  current: Buffer | null,
  system: ReadSystem,
  context: ActionContext,
): Promise<FileChange | null> {
  const { path, src, fstype, state, dump, passno, backup } = given;
  const before = bytesToText(current ?? new Uint8Array());
  let content = before;
  if (state === "mounted" || state === "present")
    content = setEntry(before, {
      src: src!,
      path: plainPath(path),
      fstype: fstype!,
      opts: optionsOf(given),
      dump,
      passno,
    });
  if (state === "absent" || state === "absent_from_fstab") content = removeEntries(before, { path, src });
  if (content === before) return null;
  return inspectFile({
    ...{ system, context, path: given.fstab, content, current, backup },
    ...(current === null ? { mode: 0o644 } : {}),
  });
}

async function stepsFor(
  given: MountParams,
  changesFstab: boolean,
  before: string,
  system: ReadSystem,
): Promise<readonly Step[]> {
  const { path, src = "", state } = given;
  if (state === "present" || state === "absent_from_fstab" || !path.startsWith("/")) return [];
  const there = await mountAt(path, system);
  switch (state) {
    case "unmounted":
      return there === undefined ? [] : [{ do: "unmount" }];
    case "absent": {
      if (!changesFstab) return [];
      const exists = (await system.lstat(path)) !== null;
      return [
        ...(there === undefined ? [] : [{ do: "unmount" } as const]),
        ...(exists && path !== "/" ? [{ do: "remove directory" } as const] : []),
      ];
    }
    case "remounted":
      return [{ do: "remount" }];
    case "mounted": {
      if (there === undefined) return mountSteps(path, system);
      if (!changesFstab) return [];
      // A remount keeps the device.
      const moved = findEntries(before, { path }).some((entry) => entry.src !== src);
      return [{ do: moved && !(await isMountOf(there, src, system)) ? "replace" : "remount" }];
    }
    case "ephemeral": {
      if (there === undefined) return mountSteps(path, system);
      if (await isMountOf(there, src, system)) return [{ do: "remount" }];
      throw new VolleyError(
        "ACTION_FAILED",
        `${there.source} is mounted on ${path} already, not ${src}; unmount it first, or name another path`,
      );
    }
  }
}

async function mountSteps(path: string, system: ReadSystem): Promise<readonly Step[]> {
  const paths = await missingDirectories(system, path);
  return [...(paths.length === 0 ? [] : [{ do: "make directories", paths } as const]), { do: "mount" }];
}

async function carryOut(
  step: Exclude<Step["do"], "make directories">,
  given: MountParams,
  system: System,
  signal: AbortSignal,
): Promise<void> {
  const { path } = given;
  const run = (argv: readonly string[]): Promise<ProcessResult> =>
    system.run(argv, { signal, env: { LC_ALL: "C" } });
  const must = async (what: string, argv: readonly string[]): Promise<void> => {
    if ((await system.which(argv[0] ?? "")) === null)
      throw new VolleyError(
        "ACTION_FAILED",
        `there is no ${argv[0]} on this host; install the package mount`,
      );
    const result = await run(argv);
    if (result.code !== 0)
      throw new VolleyError("ACTION_FAILED", `Error ${what} ${path}: ${failureText(result)}`);
  };
  switch (step) {
    case "mount":
      return must("mounting", mountCommand(given, []));
    case "unmount":
      return must("unmounting", ["umount", path]);
    case "replace":
      await must("unmounting", ["umount", path]);
      return must("mounting", mountCommand(given, []));
    case "remount": {
      const applies = given.state !== "mounted" && given.opts !== undefined;
      const first = mountCommand(given, ["remount", ...(applies ? [given.opts ?? ""] : [])]);
      if (applies || given.state === "ephemeral") return must("remounting", first);
      if ((await run(first)).code === 0) return;
      // Some file systems cannot be remounted.
      await must("unmounting", ["umount", path]);
      return must("remounting", mountCommand(given, []));
    }
    case "remove directory": {
      const result = await run(["rmdir", path]);
      if (result.code !== 0)
        throw new VolleyError("ACTION_FAILED", `Error rmdir ${path}: ${failureText(result)}`, {
          hint: "state unmounted with absent_from_fstab keeps the mount point",
        });
    }
  }
}

/** The mount of a line in fstab needs the mount point only; one beside it needs all. */
function mountCommand(
  { path, src = "", fstype, opts, state, fstab }: MountParams,
  words: readonly string[],
): readonly string[] {
  if (state === "ephemeral") {
    const options = [...words.slice(0, 1), ...(opts === undefined ? [] : [opts])].join(",");
    return [
      "mount",
      ...(fstype === undefined ? [] : ["-t", fstype]),
      ...(options === "" ? [] : ["-o", options]),
      src,
      path,
    ];
  }
  return [
    "mount",
    ...(fstab === FSTAB ? [] : ["-T", fstab]),
    ...(words.length === 0 ? [] : ["-o", words.join(",")]),
    path,
  ];
}

/** Undo what was done for a mount that failed: its line in fstab might keep the host from booting. */
async function restore(
  { fstab }: MountParams,
  before: string | null,
  changed: boolean,
  made: readonly string[],
  system: System,
): Promise<void> {
  if (changed) {
    if (before === null) await system.remove(fstab);
    else await applyText(fstab, before, system);
  }
  for (const directory of [...made].reverse()) await system.run(["rmdir", posix.normalize(directory)]);
}

async function applyText(path: string, content: string, system: System): Promise<void> {
  const change = await inspectFile({ system, path, content });
  if (change !== null) await applyFile(change, system);
}
