import { posix } from "node:path";
import * as v from "valibot";
import { type ActionContext, ActionFailure, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem } from "../../core/system.ts";
import { modeAfterChown } from "../../core/unix/permissions.ts";
import { writeJson } from "../../core/values/value.ts";
import { type FileContext, findGroup, findOwner } from "../accounts/accounts.ts";
import { defineAction } from "../define.ts";
import { attributesOf, type FileAttributes, inspectAttributes } from "../shared/attributes.ts";
import {
  attributeAliases,
  backup,
  copiedAttributes,
  directoryMode,
  flag,
  optionalText,
  text,
  validate,
} from "../shared/params.ts";
import { destinationFile, expandPath, followLinks, parentOf } from "../shared/paths.ts";
import { contentChecksum, type FileChange, type FileContent, inspectFile } from "../shared/write-file.ts";
import { type CopiedData, copiedData, remoteData } from "./copied-data.ts";
import {
  type CopySource,
  findAssetSource,
  findRemoteSource,
  type LinkCopy,
  type SourceFile,
} from "./copy-source.ts";
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

interface CopyChange extends StepsChange {
  readonly request: Params;
  readonly dest: string;
  /** The content of a single file; null for a tree. */
  readonly content: FileContent | null;
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
    checksum: optionalText("SHA-1 of the file, as hex digits: the copy fails for a file that has another."),
    local_follow: v.optional(
      v.pipe(
        v.boolean(),
        v.description(
          "Copy links within `src` as what they lead to, or as links; links that lead nowhere or up stay links. Default: false with `remote_src`, else true. A bundle has what the links of a role lead to.",
        ),
      ),
    ),
    decrypt: flag(
      "Send files that are encrypted with Ansible Vault in clear; the controller opens them. In YAML playbooks only.",
      true,
    ),
  }),
  v.check(
    ({ src, content }) => src === undefined || content === undefined,
    "src and content are mutually exclusive",
  ),
  v.check(({ src, content }) => src !== undefined || content !== undefined, "src (or content) is required"),
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
the host are copied as links, unless \`local_follow\` is true. \`mode\` applies to the files of a role's directory; of a
tree on the host, whose files keep their modes, to its topmost directory. Unlike Ansible, a bundle has no empty
directories of a role.`,
  params,
  aliases: attributeAliases,
  examples: [
    { src: "motd", dest: "/etc/motd", mode: "0644" },
    { content: "deny root\n", dest: "/etc/cron.deny", owner: "root", mode: 0o600 },
    { src: "site/", dest: "/var/www/site", owner: "www-data", directory_mode: "0755" },
  ],
  title: ({ dest }) => dest,

  async inspect(params, system, context) {
    const request = await expandRequest(params, system, context);
    const source = await findSource(request, system, context);
    if (source === null) {
      if (!context.check)
        throw new VolleyError("ACTION_FAILED", `Source ${request.src} not found on this host`);
      const nothing = { steps: [], diff: [], dest: request.dest, content: null };
      return { ...nothing, request, unknown: `there is no ${request.src} yet` };
    }
    const target = await findTarget(request, source, system);
    const only =
      source.files.length === 1 && !(source.tree && request.remote_src) ? source.files[0] : undefined;
    const content = (await only?.content()) ?? null;
    await verifyChecksum(request, content);
    const plan = await planCopy(request, source, target, system, context);
    const change: CopyChange = { ...plan, request, dest: target.shown, content };
    if (change.steps.length === 0) return unchanged(await describeCopy(change, system, context));
    return writesFiles(change) && !request.remote_src && content !== null
      ? change
      : { ...change, data: await describeCopy(change, system, context) };
  },

  async apply(change: CopyChange, _params, system, context) {
    const applied = await applySteps(change.steps, system);
    return { ...applied, data: { ...(await describeCopy(change, system, context)), ...applied.data } };
  },
});

async function expandRequest(params: Params, system: ReadSystem, { facts }: ActionContext): Promise<Params> {
  const dest = await expandPath(system, params.dest, facts.env);
  const { src, remote_src } = params;
  const from = remote_src && src !== undefined ? { src: await expandPath(system, src, facts.env) } : {};
  return { ...params, dest, ...from };
}

async function verifyChecksum(
  { src, checksum: expected }: Params,
  content: FileContent | null,
): Promise<void> {
  if (expected === undefined || content === null) return;
  const checksum = await contentChecksum(content, "sha1");
  if (checksum === expected.toLowerCase()) return;
  const message = `${src ?? "the content"} does not match the expected checksum: it has ${checksum}`;
  throw new ActionFailure("ACTION_FAILED", message, { checksum, expected_checksum: expected });
}

function writesFiles({ steps }: StepsChange): boolean {
  return steps.some((step) => step.do === "file" && step.change.content !== undefined);
}

/** Return what Ansible returns: more of a file that was written, and of a tree of the role only its place. */
async function describeCopy(
  change: CopyChange,
  system: ReadSystem,
  context: ActionContext,
): Promise<CopiedData> {
  const { request, dest, content } = change;
  const { src = dest, force, remote_src } = request;
  if (remote_src) return remoteData({ src, dest, content }, system, context);
  if (content === null) return { dest, src };
  if (!force && change.steps.length === 0) return { dest, src };
  return copiedData({ src, dest, content, written: writesFiles(change) }, system, context);
}

async function findSource(
  { src, content, remote_src, local_follow }: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<CopySource | null> {
  if (src !== undefined)
    return remote_src
      ? findRemoteSource(system, src, local_follow ?? false)
      : findAssetSource(context, src, local_follow ?? true);
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
  { src, content, dest, remote_src, follow }: Params,
  source: CopySource,
  system: ReadSystem,
): Promise<CopyTarget> {
  if (content !== undefined && (dest.endsWith("/") || (await system.stat(dest))?.type === "directory"))
    throw new VolleyError("ACTION_FAILED", "can not use content with a dir as dest: name the file");
  if (source.tree) {
    const name = src!.endsWith("/") ? "" : posix.basename(src!);
    const base = posix.join(dest, name);
    const isIn = dest.endsWith("/");
    const above = name === "" && !isIn ? {} : { directory: dest };
    const at = (path: string): string => posix.join(base, path);
    const [only, ...others] = source.files;
    // As in Ansible, a directory with one file is described by that file.
    if (!remote_src)
      return {
        shown: only === undefined || others.length > 0 ? `${dest.replace(/\/$/, "")}/` : at(only.path),
        at,
        ...above,
      };
    await refuseOwnTree(src!, base, system);
    const shown = isIn || (await system.stat(dest)) !== null ? posix.join(dest, "/", name) : dest;
    return { shown, at, ...above };
  }
  const path = await destinationFile(system, dest, source.files[0]!.path);
  const shown = follow ? await followLinks(system, path) : path;
  return { shown, at: () => path, ...(dest.endsWith("/") ? { directory: dest } : {}) };
}

/** Options for copying files. */
interface CopyRequest extends FileAttributes {
  readonly directory_mode?: string | number | undefined;
  readonly force: boolean;
  readonly backup: boolean;
  readonly validate?: string | undefined;
  readonly follow: boolean;
  readonly remote_src: boolean;
}

/** The destination of a copy. */
interface CopyTarget {
  /** The path in the result. */
  readonly shown: string;
  /** Return the destination of one file of the source. */
  readonly at: (path: string) => string;
  /** The directory to make, when missing, for the file or tree in it; those of a tree are always made. */
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
  const { owner, group, directory_mode, force, remote_src } = request;
  const keepsModes = source.tree && remote_src;
  // As in Ansible, a tree of the host keeps its modes, but for its topmost directory.
  const topMode = keepsModes && request.mode !== "preserve" ? request.mode : undefined;
  const top = source.tree ? target.at("") : undefined;
  const steps: Step[] = [];
  const diff: Diff[] = [];
  const messages: string[] = [];
  const planned = new Set<string>();
  const modes = new Map<string, string | number | undefined>();
  if (target.directory !== undefined)
    modes.set(target.directory, (target.directory === top ? topMode : undefined) ?? directory_mode);
  for (const { path, mode } of source.directories) {
    const at = target.at(path);
    if (!modes.has(at))
      modes.set(at, keepsModes ? ((path === "" ? topMode : undefined) ?? mode) : directory_mode);
  }
  for (const [path, mode] of modes) {
    const missing = await inspectMissingDirectories(system, path, { owner, group, mode }, context, planned);
    steps.push(...missing.steps);
    diff.push(...missing.diff);
    const isOfTree = keepsModes && (path === top || path !== target.directory);
    const stat = isOfTree ? await system.lstat(path) : null;
    if (stat === null) continue;
    const wanted = { owner, group, mode: path === top ? topMode : undefined };
    const change = await inspectAttributes(system, path, stat, wanted, context);
    if (change === null) continue;
    steps.push({ do: "attributes", change });
    diff.push(change.diff);
  }
  let shown = 0;
  for (const file of source.files) {
    context.signal.throwIfAborted();
    const path = target.at(file.path);
    if (!force && (await system.stat(path)) !== null) continue;
    const secret = shown > MAX_TREE_DIFF_CHARACTERS;
    const parents = modes.size === 0 ? "required" : "given";
    const change = await planFile(file, { ...request, keepsModes, path, secret, parents }, system, context);
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

/** A file of a copy. */
interface FilePlace extends CopyRequest {
  readonly path: string;
  readonly keepsModes: boolean;
  readonly secret: boolean;
  readonly parents: "required" | "given";
}

async function planFile(
  file: SourceFile,
  place: FilePlace,
  system: ReadSystem,
  context: ActionContext,
): Promise<FileChange | null> {
  const { path, keepsModes, mode, backup, validate, follow, secret, parents } = place;
  const content = await file.content();
  const look = (wanted: string | number | undefined): Promise<FileChange | null> =>
    inspectFile({
      ...{ system, context, path, content, backup, validate, follow, secret, parents },
      ...attributesOf(place),
      mode: wanted,
    });
  if (!keepsModes)
    return look(mode === "preserve" ? await preservedMode(file, place, system, context) : mode);
  // Only a file that is written gets the mode of its source: a copy must not widen access.
  const change = await look(undefined);
  if (change?.content === undefined) return change;
  return look(await preservedMode(file, place, system, context));
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
