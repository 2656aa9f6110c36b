import { createHash } from "node:crypto";
import { basename } from "node:path";
import { promisify } from "node:util";
import {
  type BrotliOptions,
  brotliCompress,
  brotliCompressSync,
  brotliDecompressSync,
  constants,
} from "node:zlib";
import { BUNDLE_FORMAT, type Manifest, PRECOMPILED } from "../core/bundle.ts";
import type { RuntimeArch, RuntimeTraits } from "../core/runtimes.ts";
import { bytesToText } from "../core/values/bytes.ts";
import { isRecord } from "../core/values/value.ts";
import { precompile } from "../template/precompiled.ts";
import { type ActionNames, actionsScript, joinNames, namesReached } from "./actions.ts";
import { type AssetEntry, collectAssets } from "./assets.ts";
import { type CacheSlot, type Fingerprint, isFresh, openSlot } from "./cache.ts";
import { digestOwnParts, identifyOwnParts, loadOwnParts, partFile } from "./own-parts.ts";
import { type ActionModules, type OwnParts, PART_RULES, type TextTest } from "./parts.ts";
import type { LoadedPlaybook } from "./playbook.ts";
import { preludeText, writeOffset } from "./prelude.ts";
import { volleyVersion } from "./this-package.ts";

/** The executable file. */
export interface Bundle {
  /** SHA-256 of its bytes, in hex. */
  readonly id: string;
  readonly bytes: Buffer;
  /** True when the earlier bundle was still up to date. */
  readonly reused: boolean;
  /** True when the playbook, its files or the vars mention the inventory's groups: every host then gets the names of all hosts. */
  readonly asksForGroups: boolean;
}

/** The hosts and vars that a bundle is built for. */
export interface BuildOptions {
  /** True for a bundle that is carried to its hosts, false for one that a run sends. Default: false. */
  readonly carried?: boolean;
  /** The hosts of a carried bundle with their vars. Such a bundle is never cached. */
  readonly hosts?: (asksForGroups: boolean) => NonNullable<Manifest["hosts"]>;
  /** True for a bundle that gets a signature (`signing/sign.ts`), and can verify it. Such a bundle is never cached. Default: false. */
  readonly isSigned?: boolean;
  /** The runtimes that the bundle holds, with their archives. Such a bundle is never cached. Default: none. */
  readonly runtimes?: readonly (RuntimeTraits & { readonly archive: Buffer })[];
  /** The vars that templates may meet: Jinja text in them decides which parts the bundle needs. */
  readonly vars: Iterable<unknown>;
  /** Actions that the bundle holds beside those that the playbook's code names; names of no action are ignored. */
  readonly actions?: ActionNames;
  /** What Volley itself puts into the bundle. Default: that of this version of Volley. */
  readonly ownParts?: OwnParts;
}

const FILES = { bundle: "bundle.run", state: "bundle.json" } as const;
const CARRIED_FILES = { bundle: "carried.run", state: "carried.json" } as const;
const ACTIONS_FILE = "actions.br";

interface BundleState {
  readonly id: string;
  readonly assets: Fingerprint;
  /** Digest of all other inputs. */
  readonly parts: string;
  /** True when the assets mention groups. */
  readonly groups: boolean;
}

/** Build the bundle of a playbook, or reuse the earlier one when its inputs are unchanged. */
export async function buildBundle(
  loaded: LoadedPlaybook,
  {
    carried = false,
    isSigned = false,
    runtimes = [],
    hosts,
    vars,
    actions = [],
    ownParts: given,
  }: BuildOptions,
): Promise<Bundle> {
  const slot = openSlot(loaded.project.file);
  const kept =
    hosts !== undefined || isSigned || runtimes.length > 0 || loaded.project.text !== undefined
      ? undefined
      : carried
        ? CARRIED_FILES
        : FILES;
  const { code } = loaded.compiled;
  const names = joinNames(namesReached(code), loaded.compiled.actions ?? [], actions);
  // Parts that ride for what the vars or the code hold, whatever the assets do.
  const asked = PART_RULES.filter(
    ([, { rides }]) =>
      rides === undefined ||
      (rides === "carried"
        ? carried
        : holds(code, rides.text) ||
          (rides.within === "anything" && someText(vars, (text) => holds(text, rides.text)))),
  ).map(([name]) => name);
  const askedFor = GROUPS_IN_CODE.test(code) || someText(vars, (text) => GROUPS.test(text));
  const own = given === undefined ? await identifyOwnParts() : digestOwnParts(given);
  const parts = digest(Buffer.from(`${own} ${asked} ${names} ${code}`));
  if (kept !== undefined) {
    const state = slot.readJson<BundleState>(kept.state);
    if (state !== undefined && state.parts === parts && isFresh(state.assets)) {
      const bytes = slot.readBytes(kept.bundle);
      // The state of an earlier version does not record it: assume that the assets mention groups.
      const asksForGroups = askedFor || state.groups !== false;
      if (bytes !== undefined && digest(bytes) === state.id)
        return { id: state.id, bytes, reused: true, asksForGroups };
    }
  }
  const ownParts = given ?? (await loadOwnParts());
  const assets = collectAssets(loaded);
  const assetsHold = (text: string | TextTest): boolean =>
    assets.entries.some(({ content }) => holds(content, text));
  const groups = assetsHold("groups");
  const asksForGroups = askedFor || groups;
  const script = actionsScript(JSON.parse(ownParts.actions.toString("utf8")) as ActionModules, names);
  const prelude = preludeText(ownParts.bootstrap.toString("utf8"), { isSigned, runtimes });
  const bytes = await zipBehind(Buffer.from(prelude), [
    text("manifest.json", JSON.stringify(makeManifest(loaded, isSigned, hosts?.(asksForGroups)))),
    packed("playbook.js.br", brotliCompressSync(Buffer.from(code), quality(CODE_QUALITY, code.length))),
    packed("actions.js.br", await packActions(script, ownParts.isTight, slot)),
    ...PART_RULES.filter(
      ([name, { rides, within }]) =>
        within === undefined &&
        (asked.includes(name) ||
          (typeof rides === "object" && rides.within === "anything" && assetsHold(rides.text))),
    ).map(([name]) => packed(partFile(name), present(ownParts.parts[name], name))),
    ...precompiledTemplates(assets.entries),
    ...assets.entries,
    ...runtimes.map(({ arch, archive }) => packed(runtimeEntry(arch), archive)),
  ]);
  for (const runtime of runtimes) writeOffset(bytes, runtime, contentAt(bytes, runtimeEntry(runtime.arch)));
  const id = digest(bytes);
  if (kept !== undefined) {
    slot.write(kept.bundle, bytes);
    const state: BundleState = { id, assets: assets.fingerprint, parts, groups };
    slot.write(kept.state, JSON.stringify(state));
  }
  return { id, bytes, reused: false, asksForGroups };
}

/** Return a bundle without content, known by its playbook's code: what is carried out from here alone needs no more. */
export function identify({ compiled: { code } }: LoadedPlaybook): Bundle {
  return { id: digest(Buffer.from(code)), bytes: Buffer.alloc(0), reused: true, asksForGroups: true };
}

/** Tell whether a content holds a text, or what a pattern describes. */
function holds(content: string | Buffer, text: string | TextTest): boolean {
  return typeof text === "string"
    ? content.includes(text)
    : text.test(typeof content === "string" ? content : content.toString("latin1"));
}

function present(part: Buffer | undefined, name: string): Buffer {
  if (part === undefined) throw new Error(`Volley was built without its part "${name}"`);
  return part;
}

const TEMPLATES = /^assets\/(?:.*\/)?templates\//;

/** Compile the templates: hosts would do it again in every run. */
function precompiledTemplates(assets: readonly AssetEntry[]): readonly ZipEntry[] {
  const code = precompile(
    assets.filter(({ name }) => TEMPLATES.test(name)).map(({ content }) => bytesToText(content)),
  );
  if (code === undefined) return [];
  return [
    packed(`${PRECOMPILED}.js.br`, brotliCompressSync(Buffer.from(code), quality(CODE_QUALITY, code.length))),
  ];
}

/** Pack the script of the actions, unless the playbook's last bundle had the same: packing tightly takes 100 ms. */
async function packActions(script: string, isTight: boolean, slot: CacheSlot): Promise<Buffer> {
  const content = Buffer.from(script);
  const kept = slot.readBytes(ACTIONS_FILE);
  if (kept !== undefined && unpacksTo(kept, content)) return kept;
  const fresh: Buffer = await promisify(brotliCompress)(
    content,
    quality(isTight ? constants.BROTLI_MAX_QUALITY : CODE_QUALITY, content.length),
  );
  slot.write(ACTIONS_FILE, fresh);
  return fresh;
}

function unpacksTo(kept: Buffer, content: Buffer): boolean {
  try {
    return brotliDecompressSync(kept, { maxOutputLength: content.length }).equals(content);
  } catch {
    return false;
  }
}

/** The word as templates write it, `groups['web']`. */
const GROUPS = /\bgroups\b/;
/** The word in code, except for a host's own `host.groups` and parameters of actions such as `user`: `groups: ["sudo"]`. */
const GROUPS_IN_CODE = /(?<!\bhost\.)\bgroups\b(?!:\s*["'`[])/;

/** Return whether a text among values, at any depth, meets a condition. */
function someText(values: Iterable<unknown>, holds: (text: string) => boolean): boolean {
  for (const value of values) {
    if (
      typeof value === "string"
        ? holds(value)
        : Array.isArray(value)
          ? someText(value, holds)
          : isRecord(value) && someText(Object.values(value), holds)
    )
      return true;
  }
  return false;
}

function runtimeEntry(arch: RuntimeArch): string {
  return `runtime/${arch}.tar.gz`;
}

/** A file of the zip. */
interface ZipEntry extends AssetEntry {
  /** True for content that is compressed already. */
  readonly packed?: boolean;
}

function text(name: string, content: string): ZipEntry {
  return { name, content: Buffer.from(content), mode: 0o644 };
}

function packed(name: string, content: Buffer): ZipEntry {
  return { name, content, mode: 0o644, packed: true };
}

/** For code that is packed anew with every change: a higher quality gains nothing for the time it takes. */
const CODE_QUALITY = 6;

/** The options of Brotli, which packs code a third smaller than a zip does. */
function quality(level: number, bytes: number): BrotliOptions {
  return {
    params: { [constants.BROTLI_PARAM_QUALITY]: level, [constants.BROTLI_PARAM_SIZE_HINT]: bytes },
  };
}

function digest(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** Only what is signed has a time: other bundles of the same input are the same bytes. */
function makeManifest(
  { project, playbook }: LoadedPlaybook,
  isSigned: boolean,
  hosts: Manifest["hosts"],
): Manifest {
  return {
    format: BUNDLE_FORMAT,
    volley: volleyVersion(),
    playbook: basename(project.file),
    plays: playbook.plays.map(({ name, hosts: pattern, roles }) => ({
      name,
      hosts: pattern,
      roles: roles.map(({ role }) => role.name),
    })),
    ...(isSigned ? { signedAt: new Date().toISOString() } : {}),
    ...(hosts === undefined ? {} : { hosts }),
  };
}

/** The earliest time a zip can hold, used for every entry: the same input then gives the same bytes. */
const EPOCH = new Date("1980-01-01T00:00:00Z");

const END_OF_DIRECTORY_BYTES = 22;
const ENTRY_HEADER_BYTES = 46;
const LOCAL_HEADER_BYTES = 30;

/** Zip entries, sorted by name, and put `prefix` before them such that zip readers still open the whole file. */
async function zipBehind(prefix: Buffer, entries: readonly ZipEntry[]): Promise<Buffer> {
  const { ZipArchive } = await import("archiver");
  const archive = new ZipArchive({ zlib: { level: 9 } });
  const chunks: Buffer[] = [prefix];
  const done = new Promise<void>((resolve, reject) => {
    archive.on("data", (chunk: Buffer) => chunks.push(chunk));
    archive.once("end", resolve);
    archive.once("error", reject);
  });
  const sorted = [...entries].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, content, mode, packed: isPacked = false } of sorted) {
    archive.append(content, { name, mode, date: EPOCH, store: isPacked });
  }
  await archive.finalize();
  await done;
  const whole = Buffer.concat(chunks);
  shiftOffsets(whole, prefix.length);
  return whole;
}

/** Return the place of an entry's content in the file. */
function contentAt(whole: Buffer, entry: string): number {
  const end = whole.length - END_OF_DIRECTORY_BYTES;
  for (let at = whole.readUInt32LE(end + 16); at < end; ) {
    const nameLength = whole.readUInt16LE(at + 28);
    const header = whole.readUInt32LE(at + 42);
    if (whole.toString("utf8", at + ENTRY_HEADER_BYTES, at + ENTRY_HEADER_BYTES + nameLength) === entry)
      return header + LOCAL_HEADER_BYTES + whole.readUInt16LE(header + 26) + whole.readUInt16LE(header + 28);
    at += ENTRY_HEADER_BYTES + nameLength + whole.readUInt16LE(at + 30) + whole.readUInt16LE(at + 32);
  }
  throw new Error(`the bundle holds no ${entry}`);
}

/** Make the zip's offsets, which count from its first byte, count from the file's first byte. */
function shiftOffsets(whole: Buffer, by: number): void {
  const end = whole.length - END_OF_DIRECTORY_BYTES;
  const directory = whole.readUInt32LE(end + 16) + by;
  whole.writeUInt32LE(directory, end + 16);
  for (let at = directory; at < end; ) {
    whole.writeUInt32LE(whole.readUInt32LE(at + 42) + by, at + 42);
    at +=
      ENTRY_HEADER_BYTES +
      whole.readUInt16LE(at + 28) +
      whole.readUInt16LE(at + 30) +
      whole.readUInt16LE(at + 32);
  }
}
