import * as v from "valibot";
import { type ActionContext, type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { requiredIf } from "../shared/combinations.ts";
import { describe, flag, oneOf } from "../shared/params.ts";
import { commandWords, runTool } from "../shared/run-tool.ts";
import {
  FILE_SYSTEMS,
  type FileSystem,
  type FileSystemName,
  growCommand,
  uuidCommand,
} from "./file-systems.ts";

const TYPES = Object.keys(FILE_SYSTEMS) as FileSystemName[];

const params = v.pipe(
  v.strictObject({
    dev: v.pipe(
      v.string(),
      v.startsWith("/", "must be an absolute path"),
      v.description("The block device, or a regular file."),
    ),
    fstype: v.optional(
      v.pipe(v.picklist(TYPES), v.description("The file system; `lvm` stands for a physical volume.")),
    ),
    state: oneOf(["present", "absent"], "present", "Make a file system, or wipe the one that there is."),
    force: flag("Make it over another file system. What is there is lost."),
    resizefs: flag("Grow the file system to the size of its device."),
    opts: v.optional(describe(v.string(), "Options for mkfs.")),
    uuid: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[\w-]+$/, "must be a UUID, random, time or clear"),
        v.description("The UUID of the file system: one, or a word that its tool takes, such as `random`."),
      ),
    ),
  }),
  requiredIf("state", ["present"], "fstype"),
  v.check(({ resizefs, uuid }) => !resizefs || uuid === undefined, "give resizefs or uuid, not both"),
);

type FilesystemParams = v.InferOutput<typeof params>;

interface FilesystemChange extends Change {
  readonly argv: readonly string[];
  readonly deed: string;
}

/** Make file systems. */
export const filesystem = defineAction<typeof params, FilesystemChange>({
  name: "filesystem",
  doc: `Make a file system on a device, grow it, or wipe it.

A device with the wanted file system is left alone. One with another is an error unless \`force\` is true. \`blkid\` tells what is there. \`resizefs\` grows ext2 to ext4, xfs, btrfs and lvm; xfs and btrfs only while mounted.`,
  params,
  aliases: { device: "dev", type: "fstype" },
  examples: [
    { dev: "/dev/sdb1", fstype: "ext4", opts: "-L data" },
    { dev: "/dev/sdb1", fstype: "ext4", resizefs: true },
    { dev: "/dev/sdc", state: "absent" },
  ],
  title: ({ dev, fstype }) => (fstype === undefined ? dev : `${dev} ${fstype}`),

  async inspect(given, system, context): Promise<FilesystemChange | Unchanged<undefined> | null> {
    const { dev, fstype, state, force } = given;
    const stat = await system.stat(dev);
    if (stat === null) {
      if (state === "absent") return unchanged(undefined, `there is no ${dev}`);
      return refuse(`Device ${dev} not found.`, context);
    }
    if (stat.type !== "block" && stat.type !== "file")
      throw new VolleyError("ACTION_FAILED", `${dev} is a ${stat.type}, no block device and no file`);
    await requireTool("blkid", "util-linux", system);
    const now = await probe("TYPE", dev, system);
    if (state === "absent") {
      if (now === "") return null;
      await requireTool("wipefs", "util-linux", system);
      return changeOf(dev, { fstype: [now, ""] }, ["wipefs", "--all", dev], `wipe ${dev}`);
    }
    const wanted: FileSystem = FILE_SYSTEMS[fstype!];
    if (now !== "" && now === (wanted.probed ?? fstype)) return sameType(given, now, stat.size, system);
    if (now !== "" && !force)
      throw new VolleyError(
        "ACTION_FAILED",
        `'${dev}' is already used as ${now}, use force=true to overwrite; what is there would be lost`,
      );
    const [tool = ""] = wanted.make;
    if ((await system.which(tool)) === null)
      return refuse(`there is no ${tool} on this host; install the package ${wanted.from} first`, context);
    const argv = [
      ...wanted.make,
      ...(now === "" ? [] : wanted.force),
      ...(given.uuid === undefined ? [] : newUuid(given, wanted)),
      ...commandWords(given.opts ?? ""),
      dev,
    ];
    return changeOf(dev, { fstype: [now, fstype!] }, argv, `make a file system on ${dev}`);
  },

  async apply({ argv, deed }, _params, system: System, { signal }) {
    await runTool(system, argv, deed, { signal, env: { LC_ALL: "C" } });
  },
});

function refuse(message: string, { check }: ActionContext): FilesystemChange {
  if (!check) throw new VolleyError("ACTION_FAILED", message);
  return { argv: [], deed: "", unknown: message };
}

function changeOf(
  dev: string,
  attributes: Readonly<Record<string, readonly [string, string]>>,
  argv: readonly string[],
  deed: string,
): FilesystemChange {
  return { argv, deed, diff: { path: `file system of ${dev}`, attributes } };
}

async function requireTool(name: string, from: string, system: ReadSystem): Promise<void> {
  if ((await system.which(name)) === null)
    throw new VolleyError("ACTION_FAILED", `there is no ${name} on this host; install the package ${from}`);
}

/** A property of the file system, as blkid finds it; empty for none. */
async function probe(property: "TYPE" | "UUID", dev: string, system: ReadSystem): Promise<string> {
  const { stdout } = await system.query(["blkid", "-c", "/dev/null", "-o", "value", "-s", property, dev], {
    env: { LC_ALL: "C" },
  });
  return stdout.trim();
}

function newUuid({ uuid, fstype }: FilesystemParams, { uuidOption }: FileSystem): readonly string[] {
  if (uuidOption === undefined)
    throw new VolleyError(
      "ACTION_FAILED",
      `a file system of type ${fstype} cannot be made with a given UUID`,
    );
  return uuidOption(uuid ?? "");
}

async function sameType(
  { dev, fstype, resizefs, uuid }: FilesystemParams,
  now: string,
  fileSize: number,
  system: ReadSystem,
): Promise<FilesystemChange | null> {
  if (uuid !== undefined) {
    const before = await probe("UUID", dev, system);
    // A word such as `random` asks for a new one every time.
    if (before.toLowerCase() === uuid.toLowerCase()) return null;
    const argv = uuidCommand(fstype!, uuid, dev);
    if (argv === null)
      throw new VolleyError("ACTION_FAILED", `the UUID of a file system of type ${fstype} cannot be changed`);
    return changeOf(dev, { uuid: [before, uuid] }, argv, `set the UUID of ${dev}`);
  }
  if (!resizefs) return null;
  const grow = await growCommand(now, dev, fileSize, system);
  return grow === null
    ? null
    : changeOf(
        dev,
        { size: [String(grow.before), String(grow.after)] },
        grow.argv,
        `grow the file system of ${dev}`,
      );
}
