import * as v from "valibot";
import { type ActionContext, type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { requiredIf } from "../shared/combinations.ts";
import { describe, flag, oneOf } from "../shared/params.ts";
import { failureText, runTool } from "../shared/run-tool.ts";

const LABELS = ["aix", "amiga", "bsd", "dvh", "gpt", "loop", "mac", "msdos", "pc98", "sun"] as const;
const UNITS = [
  ...["s", "B", "KB", "KiB", "MB", "MiB", "GB", "GiB"],
  ...["TB", "TiB", "%", "cyl", "chs", "compact"],
] as const;

const place = (description: string, initial: string) =>
  v.optional(
    v.pipe(
      v.string(),
      v.regex(/^-?\d+(?:\.\d+)? ?(?:s|[KMGT]i?B|B|%|cyl)?$/i, "must be a place, such as 10GiB or 50%"),
      v.description(description),
    ),
    initial,
  );

const params = v.pipe(
  v.strictObject({
    device: v.pipe(
      v.string(),
      v.startsWith("/", "must be an absolute path"),
      v.description("The block device, or a regular file."),
    ),
    number: v.optional(
      describe(
        v.pipe(v.number(), v.integer(), v.minValue(1)),
        "The partition; required to make or remove one.",
      ),
    ),
    state: oneOf(
      ["present", "absent", "info"],
      "info",
      "Make or remove a partition, or only tell what there is.",
    ),
    label: oneOf(
      LABELS,
      "msdos",
      "The kind of partition table. With another kind on the device all partitions are lost.",
    ),
    part_type: oneOf(
      ["extended", "logical", "primary"],
      "primary",
      "The type of a new partition, with msdos.",
    ),
    part_start: place("Where a new partition begins.", "0%"),
    part_end: place("Where it ends.", "100%"),
    name: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[^"'\n]+$/, "must be one line without quotes"),
        v.description("The name of the partition, with gpt, mac, mips and pc98."),
      ),
    ),
    flags: v.optional(
      describe(v.array(v.string()), "All flags that the partition is to have, such as `lvm` or `boot`."),
    ),
    fs_type: v.optional(
      describe(
        v.string(),
        "The file system that a new partition is for; none is made. It sets the partition's type.",
      ),
    ),
    resize: flag("Change the end of a partition to `part_end`."),
    align: oneOf(
      ["cylinder", "minimal", "none", "optimal", "undefined"],
      "optimal",
      "The alignment of new partitions.",
    ),
    unit: oneOf(UNITS, "KiB", "The unit of the sizes that are returned."),
  }),
  requiredIf("state", ["present", "absent"], "number"),
);

type PartedParams = v.InferOutput<typeof params>;

interface PartedChange extends Change {
  /** Commands of parted, each for a process of its own. */
  readonly scripts: readonly (readonly string[])[];
}

interface Disk {
  readonly dev: string;
  readonly size: number;
  readonly unit: string;
  readonly table: string;
  readonly model: string;
  readonly logical_block: number;
  readonly physical_block: number;
}

interface Partition {
  readonly num: number;
  readonly begin: number;
  readonly end: number;
  readonly size: number;
  readonly fstype: string;
  readonly name: string;
  readonly flags: readonly string[];
  readonly unit: string;
}

/** The data of a parted task. */
interface PartedData {
  readonly disk: Disk;
  readonly partitions: readonly Partition[];
  /** The commands that were given to parted. */
  readonly script: string;
}

const ENGLISH = { env: { LC_ALL: "C" } } as const;

/** Partition disks. */
export const parted = defineAction<typeof params, PartedChange, PartedData>({
  name: "parted",
  doc: `Make, change or remove a partition with \`parted\`, or tell which there are.

A partition that exists is left where it is unless \`resize\` is true; its name and flags are compared. \`disk\` and \`partitions\` in the data describe the device afterwards.`,
  params,
  examples: [
    { device: "/dev/sdb", number: 1, state: "present", label: "gpt", part_end: "10GiB", flags: ["lvm"] },
    { device: "/dev/sdb", unit: "MiB" },
    { device: "/dev/sdb", number: 1, state: "absent" },
  ],
  title: ({ device, number }) => (number === undefined ? device : `${device} ${number}`),

  async inspect(given, system, context): Promise<PartedChange | Unchanged<PartedData>> {
    const { device, number, state } = given;
    if ((await system.stat(device)) === null) return refuse(`there is no device ${device}`, context);
    if ((await system.which("parted")) === null)
      return refuse("there is no parted on this host; install the package parted first", context);
    const now = await readDisk(given, given.unit, system);
    if (state === "info") return unchanged(now);
    const part = now.partitions.find(({ num }) => num === number);
    if (state === "absent") {
      if (part === undefined) return unchanged(now);
      const diff = {
        path: `partition ${device} ${number}`,
        attributes: { state: ["present", "absent"] as const },
      };
      return { scripts: [["rm", String(number)]], diff };
    }
    return presentChange(given, now, part, system);
  },

  async apply({ scripts }, given, system, { signal }) {
    const align = given.align === "undefined" ? [] : ["-a", given.align];
    for (const script of scripts)
      await runTool(
        system,
        ["parted", "-s", "-m", ...align, given.device, "--", ...script],
        `change the partitions of ${given.device}`,
        { ...ENGLISH, signal },
      );
    const script = scripts.map((words) => words.join(" ")).join(" ");
    return { data: { ...(await readDisk(given, given.unit, system)), script } };
  },
});

function refuse(message: string, { check }: ActionContext): PartedChange {
  if (!check) throw new VolleyError("ACTION_FAILED", message);
  return { scripts: [], unknown: message };
}

async function presentChange(
  given: PartedParams,
  now: PartedData,
  there: Partition | undefined,
  system: ReadSystem,
): Promise<PartedChange | Unchanged<PartedData>> {
  const { device, label, flags, name } = given;
  const number = String(given.number);
  const scripts: (readonly string[])[] = [];
  const attributes: Record<string, readonly [string, string]> = {};
  const relabels = now.disk.table !== label;
  if (relabels) {
    scripts.push(["mklabel", label]);
    attributes.label = [now.disk.table, label];
  }
  const part = relabels ? undefined : there;
  if (part === undefined) {
    // With gpt the word in the place of the type is a name.
    const type = label === "gpt" ? (name ?? "primary") : given.part_type;
    const fsType = given.fs_type === undefined ? [] : [given.fs_type];
    scripts.push(["mkpart", quote(type), ...fsType, given.part_start, given.part_end]);
    attributes.partition = ["", `${given.part_start} to ${given.part_end}`];
  } else if (given.resize && !(await endsAt(given, part, system))) {
    scripts.push(["resizepart", number, given.part_end]);
    attributes.end = [`${part.end}${part.unit}`, given.part_end];
  }
  if (name !== undefined && part?.name !== name) {
    scripts.push(["name", number, quote(name)]);
    attributes.name = [part?.name ?? "", name];
  }
  if (flags !== undefined) {
    const have = part?.flags ?? [];
    const missing = flags.filter((word) => !have.includes(word));
    // parted sets boot with esp, and lba by the type of the partition.
    const implied = [
      "lba",
      ...(flags.includes("esp") ? ["boot"] : []),
      ...(flags.includes("boot") ? ["esp"] : []),
    ];
    const extra = have.filter((word) => !flags.includes(word) && !implied.includes(word));
    for (const word of missing) scripts.push(["set", number, word, "on"]);
    for (const word of extra) scripts.push(["set", number, word, "off"]);
    if (missing.length + extra.length > 0) attributes.flags = [have.join(", "), flags.join(", ")];
  }
  if (scripts.length === 0) return unchanged(now);
  const diff: Diff = { path: `partition ${device} ${number}`, attributes };
  return { scripts, diff };
}

/** parted splits its arguments once more. */
function quote(word: string): string {
  return /^[\w-]+$/.test(word) ? word : `"${word}"`;
}

/** Tell whether a partition ends where `part_end` says, to the alignment of a MiB. */
async function endsAt(given: PartedParams, { num }: Partition, system: ReadSystem): Promise<boolean> {
  const { disk, partitions } = await readDisk(given, "B", system);
  const end = partitions.find((one) => one.num === num)?.end ?? 0;
  const [, number = "0", unit = "MB"] = /^(-?[\d.]+) ?(\D*)$/.exec(given.part_end) ?? [];
  const [, letter = "", binary = ""] = /^([KMGT])(i?)B$/i.exec(unit) ?? [];
  const factor =
    unit === "%"
      ? disk.size / 100
      : unit === "s"
        ? disk.logical_block
        : unit === ""
          ? 1_000_000
          : (binary === "" ? 1000 : 1024) ** ("KMGT".indexOf(letter.toUpperCase()) + 1);
  const asked = Number(number) * factor;
  const wanted = asked < 0 ? disk.size + asked : asked;
  // The last MiB of a disk is not used, and an end is the byte before.
  return Math.abs(end + 1 - wanted) <= 1024 * 1024 + disk.logical_block * 34;
}

/** Read the answer of `parted -m print`: lines of fields with colons between, a semicolon at the end. */
async function readDisk(
  { device }: PartedParams,
  unit: (typeof UNITS)[number],
  system: ReadSystem,
): Promise<PartedData> {
  const result = await system.query(["parted", "-s", "-m", device, "--", "unit", unit, "print"], ENGLISH);
  const lines = result.stdout.split("\n").filter((line) => line.endsWith(";"));
  const [, head, ...rest] = lines.map((line) => fieldsOf(line.slice(0, -1)));
  if (head === undefined)
    throw new VolleyError("ACTION_FAILED", `cannot read the partitions of ${device}: ${failureText(result)}`);
  const [, size = "0", , logical, physical, table = "", model = ""] = head;
  const unitOf = (text: string): string => text.replace(/^[\d.,]+/, "").toLowerCase();
  return {
    disk: {
      ...{ dev: device, size: Number.parseFloat(size), unit: unitOf(size), table, model },
      ...{ logical_block: Number(logical), physical_block: Number(physical) },
    },
    partitions: rest.map(([num, begin = "", end = "", length = "", fstype = "", name = "", words = ""]) => ({
      num: Number(num),
      begin: Number.parseFloat(begin),
      end: Number.parseFloat(end),
      size: Number.parseFloat(length),
      fstype,
      name,
      flags: words.split(", ").filter((word) => word !== ""),
      unit: unitOf(length),
    })),
    script: "",
  };
}

function fieldsOf(line: string): readonly string[] {
  return line.split(/(?<!\\):/).map((field) => field.replace(/\\:/g, ":"));
}
