import * as v from "valibot";
import type { Unchanged } from "../../core/action.ts";
import { defineAction } from "../define.ts";
import { type Edited, inspectEdit, withFinalNewline } from "../edit/edit-file.ts";
import { backup, describe, flag, text } from "../shared/params.ts";
import { parentOf } from "../shared/paths.ts";
import { applyFile, type FileApplied, type FileChange } from "../shared/write-file.ts";

const ITEMS = [
  ...["core", "data", "fsize", "memlock", "nofile", "rss", "stack", "cpu", "nproc", "as", "maxlogins"],
  ...["maxsyslogins", "priority", "locks", "sigpending", "msgqueue", "nice", "rtprio", "chroot"],
] as const;

const UNLIMITED = ["unlimited", "infinity", "-1"];

const word = (description: string) =>
  v.pipe(text(description), v.regex(/^[^\s#]+$/, "must be one word, without #"));

const params = v.pipe(
  v.strictObject({
    domain: word("A user, `@group`, `*`, or a range of ids; see limits.conf(5)."),
    limit_type: v.pipe(v.picklist(["hard", "soft", "-"]), v.description("`-` stands for both.")),
    limit_item: v.pipe(v.picklist(ITEMS), v.description("The limited thing.")),
    value: word("The limit: a number, or `unlimited`, `infinity` or `-1` for none."),
    use_min: flag("Keep the limit that the file has where it is lower."),
    use_max: flag("Keep the limit that the file has where it is higher."),
    dest: v.optional(
      v.pipe(v.string(), v.startsWith("/", "must be an absolute path"), v.description("The file.")),
      "/etc/security/limits.conf",
    ),
    comment: v.optional(
      describe(v.pipe(v.string(), v.regex(/^.*$/, "must be one line")), "A comment for the line."),
      "",
    ),
    backup,
  }),
  v.check(({ use_min, use_max }) => !(use_min && use_max), "give use_min or use_max, not both"),
  v.check(
    ({ limit_item, value }) => limit_item === "chroot" || UNLIMITED.includes(value) || /^-?\d+$/.test(value),
    "value must be a number, unlimited, infinity or -1",
  ),
  v.check(
    ({ limit_item, value }) =>
      !/^-\d/.test(value) || value === "-1" || limit_item === "nice" || limit_item === "priority",
    "value must not be negative, other than of nice and priority",
  ),
);

type LimitParams = v.InferOutput<typeof params>;

/** Set resource limits of users. */
export const pam_limits = defineAction<typeof params, FileChange, FileApplied["data"] | undefined>({
  name: "pam_limits",
  doc: `Set a resource limit of a user or group in \`/etc/security/limits.conf\`; see limits.conf(5).

The line for the same domain, type and item is changed in its place, and keeps its comment; without one, a line is added at the end. New sessions have the limit.`,
  params,
  examples: [
    { domain: "joe", limit_type: "soft", limit_item: "nofile", value: "64000" },
    { domain: "@dba", limit_type: "-", limit_item: "memlock", value: "unlimited", comment: "huge pages" },
  ],
  title: ({ domain, limit_type, limit_item }) => `${domain} ${limit_type} ${limit_item}`,

  async inspect(
    given,
    system,
    context,
  ): Promise<FileChange | Unchanged<FileApplied["data"] | undefined> | null> {
    const { dest, backup } = given;
    const isNew = (await system.stat(dest)) === null;
    // A missing directory is more likely a mistake than one to be made.
    const create = isNew && (await system.stat(parentOf(dest)))?.type === "directory";
    return inspectEdit(
      { path: dest, create, backup, mode: isNew ? 0o644 : undefined },
      system,
      context,
      (before) => setLimit(before, given),
    );
  },

  async apply(change, _params, system) {
    const applied = await applyFile(change, system);
    return change.message === undefined ? applied : { ...applied, message: change.message };
  },
});

/** Set a line of limits.conf(5): those for the same limit in their places, else at the end. */
function setLimit(before: string, given: LimitParams): Edited {
  const { domain, limit_type, limit_item, comment } = given;
  const lines = before === "" ? [] : withFinalNewline(before).slice(0, -1).split("\n");
  const key = [domain, limit_type, limit_item].join(" ");
  let message: string | undefined;
  const edited = lines.map((line) => {
    const [, fields = "", old = ""] = /^([^#]*)(?:#(.*))?$/.exec(line) ?? [];
    const [itsDomain, itsType, itsItem, itsValue, ...rest] = fields.trim().split(/\s+/);
    if (itsValue === undefined || rest.length > 0 || [itsDomain, itsType, itsItem].join(" ") !== key)
      return line;
    const value = chooseValue(itsValue, given);
    message = value === itsValue ? line : writeLimit(key, value, comment === "" ? old : comment);
    return message;
  });
  if (message === undefined) {
    message = writeLimit(key, given.value, comment);
    edited.push(message);
  }
  const same = edited.length === lines.length && edited.every((line, index) => line === lines[index]);
  return { text: same ? before : edited.map((line) => `${line}\n`).join(""), message };
}

function writeLimit(key: string, value: string, comment: string): string {
  const fields = [...key.split(" "), value].join("\t");
  return comment.trim() === "" ? fields : `${fields}\t#${comment.trimEnd()}`;
}

function chooseValue(current: string, { value, use_min, use_max }: LimitParams): string {
  if (!use_min && !use_max) return value;
  const size = (text: string): number => (UNLIMITED.includes(text) ? Number.POSITIVE_INFINITY : Number(text));
  if (Number.isNaN(size(current))) return value;
  const keeps = use_max ? size(current) >= size(value) : size(current) <= size(value);
  return keeps ? current : value;
}
