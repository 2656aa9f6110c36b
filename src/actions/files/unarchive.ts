import { posix } from "node:path";
import * as v from "valibot";
import { type ActionContext, type Applied, type Change, skipped, unchanged } from "../../core/action.ts";
import type { Asset } from "../../core/asset.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { openDownload, refusal } from "../network/download.ts";
import { isWebUrl } from "../network/web-url.ts";
import { applyAttributes, inspectAttributes } from "../shared/attributes.ts";
import { describeFile, type FileDescription } from "../shared/describe-file.ts";
import { attributeAliases, fileAttributes, flag, optionalText, text, textList } from "../shared/params.ts";
import { expandPath, firstMatch } from "../shared/paths.ts";
import {
  type ArchiveKind,
  type ArchiveSource,
  tarArchive,
  type UnpackOptions,
  zipArchive,
} from "./archive-kinds.ts";

const patterns = (description: string) => v.optional(textList(description), []);

const params = v.pipe(
  v.strictObject({
    src: text("The archive: a file of the role, or with `remote_src` an absolute path on the host or a URL."),
    dest: text("Absolute path of an existing directory."),
    remote_src: flag("Take `src` from the host or, for a URL, from its server."),
    creates: optionalText("Path or pattern; if it exists, nothing is unpacked."),
    exclude: patterns("Patterns of files to leave out. Not together with `include`."),
    include: patterns("Patterns of the only files to unpack."),
    keep_newer: flag("Keep files that are newer than those in the archive."),
    list_files: flag("Return the names in the archive as `files`; directories end with `/`."),
    extra_opts: v.optional(
      textList("Additional options for tar or unzip, such as `--strip-components=1`."),
      [],
    ),
    validate_certs: flag("Verify the certificate of a URL's server.", true),
    copy: v.optional(v.pipe(v.boolean(), v.description("False is the same as `remote_src: true`."))),
    decrypt: flag(
      "Send files that are encrypted with Ansible Vault in clear; the controller opens them. In YAML playbooks only.",
      true,
    ),
    io_buffer_size: v.optional(v.pipe(v.number(), v.description("Accepted and ignored.")), 65_536),
    ...fileAttributes,
  }),
  v.check(
    ({ include, exclude }) => include.length === 0 || exclude.length === 0,
    "parameters are mutually exclusive: include|exclude",
  ),
);
type Params = v.InferOutput<typeof params>;

/** The data of an unarchive task, under Ansible's names, with the attributes of the destination. */
interface UnarchiveData extends Partial<FileDescription> {
  readonly src: string;
  readonly dest: string;
  readonly handler?: string;
  readonly files?: readonly string[];
  /** The command that unpacked the archive, where one did. */
  readonly extract_results?: {
    readonly cmd: readonly string[];
    readonly rc: number;
    readonly out: string;
    readonly err: string;
  };
}

interface UnarchiveChange extends Change {
  readonly diff: Diff;
  /** The paths whose content differs; null when not known yet. */
  readonly differing: readonly string[] | null;
  readonly data?: UnarchiveData;
}

const SHOWN_PATHS = 200;
const URL_SILENCE_MS = 30_000;

/** Unpack an archive. */
export const unarchive = defineAction({
  name: "unarchive",
  doc: `Unpack a tar or zip archive into an existing directory.

Formats: tar, plain or compressed with gzip, bzip2, xz or zstd, through GNU tar; zip, through unzip. Both programs must
be installed on the host.

It is a change when a file of the archive is missing below \`dest\`, or differs in content, permissions or, for a tar
archive unpacked as root, owner. Unlike Ansible, a file that differs only in its time is left alone. \`owner\`, \`group\`
and \`mode\` are set on all unpacked files and on directories made for them. A URL is downloaded by every run unless
\`creates\` makes it unnecessary.`,
  params,
  aliases: attributeAliases,
  examples: [
    { src: "site.tar.gz", dest: "/srv/site", owner: "www-data" },
    { src: "https://example.org/tool-1.2.zip", dest: "/opt", remote_src: true, creates: "/opt/tool-1.2" },
  ],
  title: ({ src, dest }) => `${src} → ${dest}`,
  inspect,
  apply,
});

function unpackOptions({
  exclude,
  include,
  keep_newer,
  extra_opts,
  owner,
  group,
  mode,
}: Params): UnpackOptions {
  const ignore = { owner: owner !== undefined, group: group !== undefined, mode: mode !== undefined };
  return { exclude, include, keep_newer, extra_opts, ignore };
}

/** Read the parameters as Ansible does: `copy: false` is `remote_src`, and paths of the host are expanded. */
async function expandParams(given: Params, system: ReadSystem, { facts }: ActionContext): Promise<Params> {
  const expand = (path: string): Promise<string> => expandPath(system, path, facts.env);
  const remote_src = given.remote_src || given.copy === false;
  const isPath = remote_src && !isWebUrl(given.src);
  return {
    ...given,
    remote_src,
    src: isPath ? await expand(given.src) : given.src,
    dest: await expand(given.dest),
    ...(given.creates === undefined ? {} : { creates: await expand(given.creates) }),
  };
}

async function inspect(params: Params, system: ReadSystem, context: ActionContext) {
  const given = await expandParams(params, system, context);
  const { src, dest, creates, remote_src, list_files } = given;
  if (creates !== undefined && (await firstMatch(system, creates)) !== null)
    return skipped<UnarchiveData>(`skipped, since ${creates} exists`);
  const plan = (differing: readonly string[] | null, message: string, all = differing): UnarchiveChange => ({
    differing,
    message,
    diff: { path: dest, ...(all === null ? {} : { before: "", after: shown(all) }) },
  });
  if (!remote_src && src.startsWith("/"))
    throw new VolleyError(
      "ACTION_FAILED",
      `${src} is not a file of the role; if it is on the host, say remote_src: true`,
    );
  const asset = remote_src ? null : context.asset("files", src);
  const destination = await system.stat(dest);
  if (destination !== null && destination.type !== "directory")
    throw new VolleyError(
      "ACTION_FAILED",
      `dest '${dest}' must be an existing dir; it is a ${destination.type}`,
    );
  if (destination === null) {
    if (context.check) return plan(null, `unpack ${src}`);
    throw new VolleyError(
      "ACTION_FAILED",
      `dest '${dest}' must be an existing dir; make it first with file({ path, state: "directory" })`,
    );
  }
  if (isUrl(src, remote_src))
    return {
      ...plan(null, `download and unpack ${src}`),
      unknown: "only downloading it tells whether anything differs",
    };
  if (asset === null && (await system.stat(src)) === null) {
    if (context.check) return { ...plan(null, `unpack ${src}`), unknown: `${src} is not there yet` };
    throw new VolleyError("ACTION_FAILED", `Source '${src}' does not exist on the host`);
  }
  const source = await sourceOf(asset, src);
  const { kind, handler } = await kindOf(system, source);
  if ((await system.which(kind.command)) === null) {
    if (context.check)
      return { ...plan(null, `unpack ${src}`), unknown: `${kind.command} is not installed yet` };
    throw missingTool(src, kind);
  }
  const options = unpackOptions(given);
  const differing = await kind.differing(system, source, dest, options);
  if (differing === null)
    return { ...plan(null, `unpack ${src}`), unknown: "with extra_opts only unpacking tells" };
  const dressing = await wronglyDressed(kind, source, given, system, context);
  const all = [...new Set([...differing, ...dressing])];
  const describe = async (): Promise<UnarchiveData> => ({
    ...{ src, dest, handler },
    ...(list_files ? { files: await kind.list(system, source, options) } : {}),
    ...(await describeFile(system, dest, context)),
  });
  if (all.length === 0) return unchanged(await describe());
  const count = all.length === 1 ? "1 file differs" : `${all.length} files differ`;
  const change: UnarchiveChange = {
    ...plan(differing, `unpack ${src}: ${count}`, all),
    ...(context.check ? { data: await describe() } : {}),
  };
  return given.keep_newer &&
    kind.skipsNewer === true &&
    !(await anyMissing(system, dest, differing)) &&
    dressing.length === 0
    ? { ...change, unknown: "files that are newer are kept" }
    : change;
}

function missingTool(src: string, { command }: ArchiveKind): VolleyError {
  return new VolleyError(
    "ACTION_FAILED",
    `Failed to find handler for "${src}". Make sure the required command to extract the file is installed. Unable to find required '${command}' binary in the path; install ${command} first`,
  );
}

function isUrl(src: string, remote: boolean): boolean {
  return remote && isWebUrl(src);
}

function shown(paths: readonly string[]): string {
  const more = paths.length > SHOWN_PATHS ? [`… and ${paths.length - SHOWN_PATHS} more`] : [];
  return [...paths.slice(0, SHOWN_PATHS), ...more].map((path) => `${path}\n`).join("");
}

async function sourceOf(asset: Asset | null, src: string): Promise<ArchiveSource> {
  return asset === null ? { name: src, path: src } : { name: src, bytes: await asset.read() };
}

async function kindOf(
  system: ReadSystem,
  { path, bytes }: ArchiveSource,
): Promise<{ readonly kind: ArchiveKind; readonly handler: string }> {
  const magic = bytes?.toString("hex", 0, MAGIC_BYTES) ?? (await startOf(system, path!));
  const kind = magic.startsWith("504b") ? zipArchive : tarArchive;
  return { kind, handler: kind.handler(magic) };
}

const MAGIC_BYTES = 6;

/** Read the first bytes of a file that may be large, as hex digits. */
async function startOf(system: ReadSystem, path: string): Promise<string> {
  const real = await system.realPath(path);
  const argv = ["od", "-An", "-tx1", `-N${MAGIC_BYTES}`, `./${posix.basename(real)}`];
  const { stdout } = await system.query(argv, { cwd: posix.dirname(real) });
  return stdout.replace(/\s/g, "");
}

async function anyMissing(system: ReadSystem, dest: string, paths: readonly string[]): Promise<boolean> {
  for (const path of paths) if ((await system.lstat(posix.join(dest, path))) === null) return true;
  return false;
}

/** Return the path of an archive's member; `./` stands for the destination itself. */
async function placeOf(system: ReadSystem, dest: string, name: string): Promise<string> {
  return posix.join(await system.realPath(dest), name).replace(/(?<=.)\/$/, "");
}

/** List the archive's existing paths whose owner, group or mode differ from the parameters. */
async function wronglyDressed(
  kind: ArchiveKind,
  source: ArchiveSource,
  given: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly string[]> {
  if (!isDressed(given)) return [];
  const found: string[] = [];
  for (const name of await kind.list(system, source, unpackOptions(given))) {
    const path = await placeOf(system, given.dest, name);
    const stat = await system.lstat(path);
    if (stat !== null && (await inspectAttributes(system, path, stat, given, context)) !== null)
      found.push(name);
  }
  return found;
}

/** List the missing directories without an entry in the archive, which unpacking makes: they get the attributes too. */
async function missingImplied(
  kind: ArchiveKind,
  source: ArchiveSource,
  given: Params,
  system: ReadSystem,
): Promise<readonly string[]> {
  if (!isDressed(given)) return [];
  const names = (await kind.list(system, source, unpackOptions(given))).map((name) =>
    posix.join("/", name).replace(/\/$/, ""),
  );
  const implied = new Set<string>();
  for (const name of names)
    for (let above = posix.dirname(name || "/"); above !== "/"; above = posix.dirname(above))
      implied.add(above);
  for (const name of names) implied.delete(name);
  const missing: string[] = [];
  for (const path of implied)
    if ((await system.lstat(await placeOf(system, given.dest, path))) === null) missing.push(path);
  return missing;
}

function isDressed({ owner, group, mode, attributes }: Params): boolean {
  return [owner, group, mode, attributes].some((given) => given !== undefined);
}

async function apply(
  change: UnarchiveChange,
  params: Params,
  system: System,
  context: ActionContext,
): Promise<Applied<UnarchiveData>> {
  const given = await expandParams(params, system, context);
  const { src, dest, list_files } = given;
  const options = unpackOptions(given);
  const path = await bringHere(given, system, context);
  const source: ArchiveSource = { name: src, path };
  const { kind, handler } = await kindOf(system, source);
  if ((await system.which(kind.command)) === null) throw missingTool(src, kind);
  const before = change.differing ?? (await kind.differing(system, source, dest, options));
  const made = await missingImplied(kind, source, given, system);
  const isWhole = before !== null && before.length === 0;
  const extracted = isWhole ? undefined : await kind.extract(system, path, dest, options);
  const keeps = given.keep_newer && kind.skipsNewer === true;
  const after = before === null ? null : keeps ? await kind.differing(system, source, dest, options) : [];
  let changed = before === null || before.length !== after?.length;
  for (const name of [...(await wronglyDressed(kind, source, given, system, context)), ...made]) {
    const at = await placeOf(system, dest, name);
    const attributes = await inspectAttributes(system, at, await system.lstat(at), given, context);
    if (attributes !== null) await applyAttributes(attributes, system);
    changed = true;
  }
  const files = list_files ? { files: await kind.list(system, source, options) } : {};
  if (path !== src) await system.remove(posix.dirname(path));
  const described = { src, dest, handler, ...files, ...(await describeFile(system, dest, context)) };
  if (extracted === undefined) return { changed, data: described };
  const { argv: cmd, code: rc, stdout: out, stderr: err } = extracted;
  return { changed, data: { ...described, extract_results: { cmd, rc, out, err } } };
}

/** Bring the archive to the system, and return its path there. */
async function bringHere(given: Params, system: System, context: ActionContext): Promise<string> {
  const { src, remote_src, validate_certs } = given;
  if (remote_src && !isUrl(src, remote_src)) return src;
  const path = posix.join(await system.temporaryDirectory(), "archive");
  if (!remote_src) {
    await system.writeFile(path, context.asset("files", src).stream(), { mode: 0o600 });
    return path;
  }
  const response = await openDownload({
    url: src,
    timeoutMs: URL_SILENCE_MS,
    validateCertificates: validate_certs,
    environment: context.facts.env,
    signal: context.signal,
  });
  if (response.status !== 200) throw refusal(src, response);
  await system.writeFile(path, response.body, { mode: 0o600 });
  return path;
}
