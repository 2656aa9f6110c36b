import * as v from "valibot";
import { type Applied, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { filePath, flag, oneOf } from "../shared/params.ts";
import { expandPath } from "../shared/paths.ts";
import { failureText, runTool } from "../shared/run-tool.ts";

/** The data of an acl task. */
interface AclData {
  /** The entries as getfacl(1) prints them: `user:alice:rw-`. */
  readonly acl: readonly string[];
}

interface AclChange extends Change {
  readonly argv: readonly string[];
}

const ENTRY = /^(?:d(?:efault)?:)?(?:[ugmo]|user|group|mask|other)(?::[^:\s,]*){1,2}$/;

const params = v.pipe(
  v.strictObject({
    path: filePath,
    state: oneOf(["query", "present", "absent"], "query", "Read the entries, or set or remove one."),
    etype: v.optional(
      v.pipe(v.picklist(["user", "group", "mask", "other"]), v.description("The type of the entry.")),
    ),
    entity: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[^:\s,]*$/, "must be a name or an id"),
        v.description("The user or group of the entry. Default: the owner, or the file's group."),
      ),
      "",
    ),
    permissions: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^(?:[-rwxX]*|[0-7])$/, "must be of the letters r, w, x and X"),
        v.description("The permissions: any of `r`, `w`, `x` and `X`. Required for `present`."),
      ),
    ),
    entry: v.optional(
      v.pipe(
        v.string(),
        v.regex(ENTRY, "must be an entry such as user:alice:rw"),
        v.description(
          "The entry in one text, `user:alice:rw` or `default:group:web:rX`, instead of its parts.",
        ),
      ),
    ),
    default: flag("Work on the entry that new files in the directory get."),
    follow: flag("Work on the target of a link.", true),
    recursive: flag("Work on everything below the directory, too."),
    recalculate_mask: oneOf(
      ["default", "mask", "no_mask"],
      "default",
      "Calculate the mask anew where an entry does not set it, always (`mask`), or never (`no_mask`).",
    ),
    use_nfsv4_acls: flag("Refused: ACLs of NFSv4 have another form."),
  }),
  v.check(
    ({ use_nfsv4_acls }) => !use_nfsv4_acls,
    '"use_nfsv4_acls" is not supported; use nfs4_setfacl with command',
  ),
  v.check(
    ({ entry, etype, entity, permissions }) =>
      entry === undefined || (etype === undefined && entity === "" && permissions === undefined),
    'give "entry", or "etype", "entity" and "permissions"',
  ),
  v.check(
    ({ state, entry, etype }) => state === "query" || entry !== undefined || etype !== undefined,
    'parameter "etype" or "entry" is required to set or remove an entry',
  ),
  v.check(
    ({ state, entry, permissions }) =>
      state !== "present" ||
      permissions !== undefined ||
      (entry ?? "").replace(/^d(efault)?:/, "").split(":").length === 3,
    'the permissions are required for state: "present"',
  ),
  v.check(
    ({ etype, entity }) => entity === "" || etype === "user" || etype === "group",
    '"entity" goes with etype: "user" or "group"',
  ),
  v.check(
    ({ state, recursive }) => state !== "query" || !recursive,
    '"recursive" is for setting and removing entries',
  ),
);

type Params = v.InferOutput<typeof params>;

/** Keep an entry of an access control list. */
export const acl = defineAction<typeof params, AclChange, AclData>({
  name: "acl",
  doc: `Set, remove or read entries of a file's access control list, with getfacl(1) and setfacl(1).

Without \`state\` it reads only; the data's \`acl\` lists the entries. The host needs the package \`acl\`, and a file system
that keeps ACLs.`,
  params,
  aliases: { name: "path", recurse: "recursive" },
  examples: [
    {
      path: "/srv/app",
      etype: "user",
      entity: "alice",
      permissions: "rX",
      recursive: true,
      state: "present",
    },
    { path: "/srv/app", entry: "default:group:web:rwX", state: "present" },
  ],
  title: ({ path, state }) => (state === "query" ? path : `${path} ${state}`),

  async inspect(given, system, context) {
    for (const tool of ["getfacl", "setfacl"])
      if ((await system.which(tool)) === null)
        throw new VolleyError("ACTION_FAILED", `the host has no ${tool}; install the package acl first`);
    const path = await expandPath(system, given.path);
    if ((await (given.follow ? system.stat(path) : system.lstat(path))) === null) {
      if (context.check) return { argv: [], unknown: `there is no ${path} yet` };
      throw new VolleyError("ACTION_FAILED", `Path not found or not accessible: there is no ${path}`);
    }
    if (given.state === "query") return unchanged(await readAcl(system, path, given), "current acl");
    const argv = command(given, path);
    const tested = await system.query([argv[0]!, "--test", ...argv.slice(1)], { env: { LC_ALL: "C" } });
    if (tested.code !== 0)
      throw new VolleyError("ACTION_FAILED", `cannot set the ACL of ${path}: ${failureText(tested)}`);
    const message = `${entryOf(given)} is ${given.state}`;
    const differing = tested.stdout.split("\n").filter((line) => line !== "" && !line.endsWith(": *,*"));
    if (differing.length === 0) return unchanged(await readAcl(system, path, given), message);
    return { argv, message, diff: await describeDiff(system, path, given, differing) };
  },

  async apply({ argv, message }, given, system): Promise<Applied<AclData>> {
    const path = await expandPath(system, given.path);
    await runTool(system, argv, `set the ACL of ${path}`, { env: { LC_ALL: "C" } });
    return { data: await readAcl(system, path, given), ...(message === undefined ? {} : { message }) };
  },
});

/** Return the entry as setfacl takes it: for `absent` without permissions. */
function entryOf({ entry, etype, entity, permissions, state, default: isDefault }: Params): string {
  const whole = entry ?? [etype, entity, ...(permissions === undefined ? [] : [permissions])].join(":");
  const parts = whole.split(":");
  const hasDefault = /^d(efault)?$/.test(parts[0]!);
  const [type = "", name = "", given] = hasDefault ? parts.slice(1) : parts;
  const prefix = hasDefault || isDefault ? ["default"] : [];
  return [...prefix, type, name, ...(state === "present" && given !== undefined ? [given] : [])].join(":");
}

function command(given: Params, path: string): readonly string[] {
  const { state, follow, recursive, recalculate_mask } = given;
  return [
    "setfacl",
    ...(recursive ? ["--recursive"] : []),
    ...(follow ? [] : ["--physical"]),
    ...(recalculate_mask === "default" ? [] : [recalculate_mask === "mask" ? "--mask" : "--no-mask"]),
    ...[state === "present" ? "--modify" : "--remove", entryOf(given), "--", path],
  ];
}

async function readAcl(system: ReadSystem, path: string, { follow }: Params): Promise<AclData> {
  const physical = follow ? [] : ["--physical"];
  const argv = ["getfacl", "--omit-header", "--absolute-names", ...physical, "--", path];
  const result = await system.query(argv, { env: { LC_ALL: "C" } });
  if (result.code !== 0)
    throw new VolleyError("ACTION_FAILED", `cannot read the ACL of ${path}: ${failureText(result)}`);
  return { acl: result.stdout.split("\n").filter((line) => line !== "") };
}

const SHOWN = 20;

async function describeDiff(
  system: ReadSystem,
  path: string,
  given: Params,
  differing: readonly string[],
): Promise<NonNullable<Change["diff"]>> {
  // setfacl prints `path: access,default`; `*` is what stays.
  const lines = differing.slice(0, SHOWN).map((line) => {
    const at = line.lastIndexOf(": ");
    return { file: line.slice(0, at), entries: line.slice(at + 2) };
  });
  if (given.recursive)
    return lines.map(({ file, entries }) => ({ path: file, attributes: { acl: ["", entries] as const } }));
  const before = (await readAcl(system, path, given)).acl.join(",");
  return { path, attributes: { acl: [before, lines[0]!.entries] } };
}
