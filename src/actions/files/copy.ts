import { posix } from "node:path";
import * as v from "valibot";
import { type ActionContext, unchanged } from "../../core/action.ts";
import type { Asset } from "../../core/asset.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, Stat } from "../../core/system.ts";
import { modeAfterChown } from "../../core/unix/permissions.ts";
import { writeJson } from "../../core/values/value.ts";
import { type FileContext, findGroup, findOwner } from "../accounts/accounts.ts";
import { defineAction } from "../define.ts";
import { type FileAttributes, inspectAttributes } from "../shared/attributes.ts";
import {
  backup,
  copiedAttributes,
  directoryMode,
  flag,
  optionalText,
  text,
  validate,
} from "../shared/params.ts";
import { destinationFile, parentOf } from "../shared/paths.ts";
import { assetContent, type FileContent, inspectFile, systemContent } from "../shared/write-file.ts";
import {
  applySteps,
  inspectMissingDirectories,
  NOTHING_TO_DO,
  newLink,
  type Plan,
  type Step,
  type StepsChange,
  stepsChange,
} from "./file-plan.ts";

/** The data of a copy task. */
interface CopyData {
  /** The file, or the directory of a tree. */
  readonly dest: string;
  readonly backup_file?: string;
}

interface CopyChange extends StepsChange {
  readonly dest: string;
}

const params = v.pipe(
  v.strictObject({
    src: optionalText(
      "A file or directory of the role's `files`; with `remote_src` a path on the host. With `/` at its end, a directory stands for its content.",
    ),
    content: v.optional(
      v.pipe(
        // The array first: for valibot it is also a record with numbered entries.
        v.union([v.string(), v.array(v.unknown()), v.record(v.string(), v.unknown())]),
        v.description("The content, instead of `src`; an object or array is written as JSON."),
      ),
    ),
    dest: text("Destination. If it ends with `/` or is a directory, the name of `src` is added."),
    remote_src: flag("Take `src` from the host."),
    force: flag("Replace a file that differs; false only writes a missing file.", true),
    ...copiedAttributes,
    directory_mode: directoryMode,
    backup,
    validate,
    follow: flag("Write the target of a link at `dest` instead of replacing the link."),
  }),
  v.check(
    ({ src, content }) => (src === undefined) !== (content === undefined),
    'give either "src" or "content"',
  ),
);

type Params = v.InferOutput<typeof params>;

/** Copy files to the host. */
export const copy = defineAction({
  name: "copy",
  doc: `Copy a file or a directory of the role to the host, or write given content.

Content, owner, group and mode are each compared, and only differences are changed; the file is replaced atomically.
Its ACL is kept where the host has getfacl and setfacl. A file that is a mount is written in place, and the result says
so. Small assets are compared byte by byte, larger ones by checksum without holding them in memory. \`mode: "preserve"\`
uses the mode of the role's file, without write permission for group and others: a 0600 source stays 0600. With
\`remote_src\` it uses the source's mode, which a directory keeps by default. A copy with another owner or group than its
source loses setuid and setgid.

As in Ansible, missing directories are made only when \`dest\` ends with \`/\` or a directory is copied,
\`directory_mode\` applies to new directories only, and nothing is ever deleted from a directory. Links inside a tree of
the host are copied as links. Unlike Ansible, empty directories of a role are not copied, and \`mode\` applies to the
files of a tree on the host, not to its topmost directory.`,
  params,
  examples: [
    { src: "motd", dest: "/etc/motd", mode: "0644" },
    { content: "deny root\n", dest: "/etc/cron.deny", owner: "root", mode: 0o600 },
    { src: "site/", dest: "/var/www/site", owner: "www-data", directory_mode: "0755" },
  ],
  title: ({ dest }) => dest,

  async inspect(given, system, context) {
    const source = await findSource(given, system, context);
    if (source === null) {
      if (!context.check)
        throw new VolleyError("ACTION_FAILED", `there is no ${given.src} on this host to be copied`);
      return { steps: [], diff: [], dest: given.dest, unknown: `there is no ${given.src} yet` };
    }
    const target = await findTarget(given, source, system);
    // As in Ansible, a tree of the host keeps its modes: a copy must not widen access.
    const mode = given.mode ?? (source.tree && given.remote_src ? "preserve" : undefined);
    const plan = await planCopy({ ...given, mode }, source, target, system, context);
    const change = { dest: target.dest, ...plan };
    return change.steps.length === 0 ? unchanged<CopyData>({ dest: change.dest }) : change;
  },

  async apply(change: CopyChange, _params, system) {
    const applied = await applySteps(change.steps, system);
    return { ...applied, data: { dest: change.dest, ...applied.data } as CopyData };
  },
});

async function findSource(
  { src, content, remote_src }: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<CopySource | null> {
  if (src !== undefined) return remote_src ? findRemoteSource(system, src) : findAssetSource(context, src);
  // As Ansible's json.dumps writes it; JSON.stringify first, which leaves out undefined.
  const written =
    typeof content === "string"
      ? content
      : writeJson(JSON.parse(JSON.stringify(content)), { ensureAscii: true });
  const file = { path: "", mode: 0o644, content: async () => written };
  return { tree: false, directories: [], files: [file], links: [] };
}

/** Refuse to copy a tree into itself: it would grow by one level every time. */
async function refuseOwnTree(src: string, base: string, system: ReadSystem): Promise<void> {
  let there = base;
  while ((await system.stat(there)) === null && there !== parentOf(there)) there = parentOf(there);
  const [from, to] = [await system.realPath(src), await system.realPath(there)];
  const target = posix.join(to, posix.relative(there, base));
  if (target.startsWith(from === "/" ? from : `${from}/`))
    throw new VolleyError("ACTION_FAILED", `${base} is in ${src}: a directory cannot be copied into itself`);
}

async function findTarget(
  { src, dest, remote_src }: Params,
  source: CopySource,
  system: ReadSystem,
): Promise<CopyTarget> {
  if (source.tree) {
    const base = src!.endsWith("/") ? dest : posix.join(dest, posix.basename(src!));
    if (remote_src) await refuseOwnTree(src!, base, system);
    return { dest: base, at: (path) => posix.join(base, path) };
  }
  const path = await destinationFile(system, dest, source.files[0]!.path);
  return { dest: path, at: () => path, ...(dest.endsWith("/") ? { directory: dest } : {}) };
}

/** A file to copy. */
interface SourceFile {
  /** Path below the tree; for a single file its name. */
  readonly path: string;
  /** Permission bits, as far as known. */
  readonly mode: number;
  /** Owner on the machine itself. */
  readonly owner?: Pick<Stat, "uid" | "gid">;
  content(): Promise<FileContent>;
}

/** The source of a copy: one file, or everything below a directory. */
interface CopySource {
  readonly tree: boolean;
  readonly files: readonly SourceFile[];
  /** Directories of the tree, each after its parent, the tree itself first. */
  readonly directories: readonly SourceDirectory[];
  /** Links of a tree on the machine itself. */
  readonly links: readonly LinkCopy[];
}

/** A directory of a tree; only one on the machine itself has known permission bits. */
interface SourceDirectory {
  readonly path: string;
  readonly mode?: number;
}

function trimSlashes(path: string): string {
  return path.replace(/(?<=.)\/+$/, "");
}

/** Find a file or a directory of the role's assets. Fails with `ASSET_MISSING`. */
function findAssetSource(context: ActionContext, src: string): CopySource {
  const name = trimSlashes(src);
  if (!src.endsWith("/")) {
    try {
      return {
        tree: false,
        files: [assetFile(context.asset("files", name), posix.basename(name))],
        directories: [],
        links: [],
      };
    } catch (thrown) {
      if (
        !isVolleyError(thrown) ||
        thrown.code !== "ASSET_MISSING" ||
        context.assetTree("files", name) === null
      )
        throw thrown;
    }
  }
  const paths = context.assetTree("files", name);
  if (paths === null) {
    const { path } = context.asset("files", name);
    throw new VolleyError(
      "ASSET_MISSING",
      `${path} is a file, not a directory; write it without the / at its end`,
    );
  }
  const directories = new Set([""]);
  for (const path of paths) {
    const parts = path.split("/");
    for (let depth = 1; depth < parts.length; depth++) directories.add(parts.slice(0, depth).join("/"));
  }
  const files = paths.map((path) => assetFile(context.asset("files", posix.join(name, path)), path));
  return { tree: true, files, directories: [...directories].map((path) => ({ path })), links: [] };
}

function assetFile(asset: Asset, path: string): SourceFile {
  return { path, mode: asset.mode, content: () => assetContent(asset) };
}

/** Find a file or a directory on the machine itself; null for a missing path. */
async function findRemoteSource(system: ReadSystem, src: string): Promise<CopySource | null> {
  const name = trimSlashes(src);
  const stat = await system.stat(name);
  if (stat === null) return null;
  if (stat.type !== "directory") {
    const file = remoteFile(system, name, posix.basename(name), stat);
    return { tree: false, files: [file], directories: [], links: [] };
  }
  const files: SourceFile[] = [];
  const directories: SourceDirectory[] = [{ path: "", mode: stat.mode }];
  const links: LinkCopy[] = [];
  const walk = async (below: string): Promise<void> => {
    for (const entry of await system.list(posix.join(name, below))) {
      const path = posix.join(below, entry);
      const full = posix.join(name, path);
      const found = await system.lstat(full);
      if (found?.type === "link") links.push({ path, target: await system.readLink(full) });
      else if (found?.type === "directory") {
        directories.push({ path, mode: found.mode });
        await walk(path);
      } else if (found?.type === "file") files.push(remoteFile(system, full, path, found));
    }
  };
  await walk("");
  return { tree: true, files, directories, links };
}

function remoteFile(system: ReadSystem, full: string, path: string, stat: Stat): SourceFile {
  if (stat.type !== "file")
    throw new VolleyError("ACTION_FAILED", `${full} is a ${stat.type} and cannot be copied`);
  return { path, mode: stat.mode, owner: stat, content: () => systemContent(system, full, stat) };
}

/** Options for copying files. */
interface CopyRequest extends FileAttributes {
  readonly directory_mode?: string | number | undefined;
  readonly force: boolean;
  readonly backup: boolean;
  readonly validate?: string | undefined;
  readonly follow: boolean;
}

/** The destination of a copy. */
interface CopyTarget {
  readonly dest: string;
  /** Return the destination of one file of the source. */
  readonly at: (path: string) => string;
  /** A directory to make when missing, for a single file; those of a tree are always made. */
  readonly directory?: string;
}

// Show only this much text of a large tree.
const MAX_TREE_DIFF_CHARACTERS = 500_000;

/** Plan the steps that make the target match the source; none when it does. */
async function planCopy(
  request: CopyRequest,
  source: CopySource,
  target: CopyTarget,
  system: ReadSystem,
  context: ActionContext,
): Promise<StepsChange> {
  const { owner, group, mode, directory_mode, force, backup, validate, follow } = request;
  const steps: Step[] = [];
  const diff: Diff[] = [];
  const messages: string[] = [];
  const planned = new Set<string>();
  const directories = source.tree
    ? source.directories.map(({ path, mode }) => ({ path: target.at(path), mode }))
    : target.directory === undefined
      ? []
      : [{ path: target.directory, mode: undefined }];
  for (const one of directories) {
    const wanted = { owner, group, mode: directory_mode ?? one.mode };
    const missing = await inspectMissingDirectories(system, one.path, wanted, context, planned);
    steps.push(...missing.steps);
    diff.push(...missing.diff);
  }
  let shown = 0;
  for (const file of source.files) {
    context.signal.throwIfAborted();
    const path = target.at(file.path);
    if (!force && (await system.stat(path)) !== null) continue;
    const change = await inspectFile({
      ...{ system, context, path, content: await file.content(), owner, group, backup, validate, follow },
      mode: mode === "preserve" ? await preservedMode(file, request, system, context) : mode,
      parents: directories.length === 0 ? "required" : "given",
      secret: shown > MAX_TREE_DIFF_CHARACTERS,
    });
    if (change === null) continue;
    steps.push({ do: "file", change });
    diff.push(change.diff);
    if (change.message !== undefined) messages.push(change.message);
    shown += (change.diff.before?.length ?? 0) + (change.diff.after?.length ?? 0);
  }
  for (const { path, target: leadsTo } of source.links) {
    const link = { path: target.at(path), target: leadsTo };
    const plan = await planLinkCopy(link, { owner, group, force }, system, context);
    steps.push(...plan.steps);
    diff.push(...plan.diff);
  }
  return stepsChange(steps, diff, messages);
}

/** Return the mode of a file's copy, without setuid and setgid when its owner or group differs. */
async function preservedMode(
  { mode, owner: source }: SourceFile,
  { owner, group }: FileAttributes,
  system: ReadSystem,
  context: ActionContext,
): Promise<number> {
  if (source === undefined) return mode;
  const uid = owner === undefined ? system.uid : await findOwner(system, owner, context);
  const gid = group === undefined ? system.gid : await findGroup(system, group, context);
  return uid === source.uid && gid === source.gid ? mode : modeAfterChown({ mode, type: "file" });
}

/** A link of a tree to copy, and its target. */
interface LinkCopy {
  readonly path: string;
  readonly target: string;
}

/** Plan the same link at `path`, whether its target exists there or not. */
async function planLinkCopy(
  { path, target }: LinkCopy,
  { owner, group, force }: FileAttributes & { readonly force: boolean },
  system: ReadSystem,
  context: FileContext,
): Promise<Plan> {
  const stat = await system.lstat(path);
  if (stat !== null && !force) return NOTHING_TO_DO;
  if (stat?.type === "directory") {
    throw new VolleyError(
      "ACTION_FAILED",
      `${path} is a directory where there should be a link; remove it first`,
    );
  }
  const current = stat?.type === "link" ? await system.readLink(path) : undefined;
  const same = current === target;
  const attributed = same ? stat : newLink(system);
  const change = await inspectAttributes(system, path, attributed, { owner, group }, context);
  const before = stat === null ? "absent" : current === undefined ? stat.type : `link to ${current}`;
  const state: Diff["attributes"] = same ? {} : { state: [before, `link to ${target}`] };
  return {
    steps: [
      ...(same ? [] : [{ do: "symlink", path, target } as const]),
      ...(change === null ? [] : [{ do: "attributes", change } as const]),
    ],
    diff: same && change === null ? [] : [{ path, attributes: { ...state, ...change?.diff.attributes } }],
  };
}
