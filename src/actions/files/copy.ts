import { posix } from "node:path";
import * as v from "valibot";
import { type ActionContext, unchanged } from "../../core/action.ts";

import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { destinationFile } from "../shared/destination.ts";
import { backup, directoryMode, validate } from "../shared/file-params.ts";
import { copiedAttributes, flag, optionalText, text } from "../shared/params.ts";
import { parentOf } from "../shared/paths.ts";
import { type CopyTarget, planCopy } from "./copy-plan.ts";
import { type CopySource, findAssetSource, findRemoteSource } from "./copy-source.ts";
import { jsonText } from "./json-text.ts";
import { applySteps, type StepsChange } from "./steps.ts";

/** What `copy` tells. */
export interface CopyData {
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
      "A file or directory of the role's `files`; with `remote_src` a path on the host. A directory with `/` at its end means what is in it, without it the directory itself.",
    ),
    content: v.optional(
      v.pipe(
        // The array first: to valibot it is a record as well, of numbered entries.
        v.union([v.string(), v.array(v.unknown()), v.record(v.string(), v.unknown())]),
        v.description("The content itself instead of `src`; an object or array is written as JSON."),
      ),
    ),
    dest: text("Where it goes. When it ends with `/` or is a directory, the name of `src` is added."),
    remote_src: flag("Take `src` from the host itself."),
    force: flag("Replace a file that differs; false writes it only when there is none.", true),
    ...copiedAttributes,
    directory_mode: directoryMode,
    backup,
    validate,
    follow: flag("When `dest` is a link, write the file it leads to instead of replacing the link."),
  }),
  v.check(
    ({ src, content }) => (src === undefined) !== (content === undefined),
    'give either "src" or "content"',
  ),
);

type Params = v.InferOutput<typeof params>;

/** Copies files to the host. */
export const copy = defineAction({
  name: "copy",
  doc: `Copies a file or a directory of the role to the host, or writes content given in place.

Content, owner, group and mode are each compared, and only what differs is changed; the file is replaced atomically.
Its ACL is kept where the host has getfacl and setfacl. A file that is a mount is written in place, which the result says.
Small assets are compared byte by byte, larger ones by checksum without being held in memory. \`mode: "preserve"\` gives
an asset the mode its file has where the playbook is, without write permission for group and others: a 0600 source
stays 0600. With \`remote_src\` it is the mode of the source, which a directory keeps by default. A copy that belongs to somebody else than its source loses setuid and setgid.

As in Ansible, missing directories are made only when \`dest\` ends with \`/\` or a directory is copied, \`directory_mode\`
is for directories that are made, and nothing is ever deleted from a directory. Links inside a tree
of the host are copied as they are. Unlike Ansible, empty directories of a role are not copied, and \`mode\` is for the files of a
tree on the host, not for its topmost directory.`,
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
    // As in Ansible, a tree of the host keeps its modes: copying must not open what was closed.
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
  const written = typeof content === "string" ? content : jsonText(content);
  const file = { path: "", mode: 0o644, content: async () => written };
  return { tree: false, directories: [], files: [file], links: [] };
}

/** A tree that is copied to somewhere in itself would grow by one level every time. */
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
