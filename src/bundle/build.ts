import { createHash } from "node:crypto";
import { basename } from "node:path";
import { isRecord } from "../core/json.ts";
import { BUNDLE_FORMAT, type Manifest } from "../core/manifest.ts";
import { type Fingerprint, isFresh, openSlot } from "./cache.ts";
import { collectAssets } from "./collect-assets.ts";
import type { LoadedPlaybook } from "./load-playbook.ts";
import { preludeText } from "./prelude.ts";
import { loadRuntime, RUNTIME_NAMES, type RuntimeFiles } from "./runtime.ts";
import { volleyVersion } from "./version.ts";
import type { ZipEntry } from "./zip.ts";

/** The executable file. */
export interface Bundle {
  /** SHA-256 of its bytes, in hex. */
  readonly id: string;
  readonly bytes: Buffer;
  /** True when nothing had changed since it was last built. */
  readonly reused: boolean;
  /** Whether the playbook, its files or the vars say anything of the inventory's groups: every host is then told them all. */
  readonly asksForGroups: boolean;
}

/** What a bundle is made for. */
export interface BuildOptions {
  /** The hosts of a bundle that is carried to them, which is never cached; they are told the inventory's groups where asked for. */
  readonly hosts?: (asksForGroups: boolean) => NonNullable<Manifest["hosts"]>;
  /** The vars its templates may meet: Jinja text in them decides what must ride along. */
  readonly vars: Iterable<unknown>;
}

const FILES = { bundle: "bundle.run", state: "bundle.json" } as const;

interface BundleState {
  readonly id: string;
  readonly assets: Fingerprint;
  /** Digest of everything else that goes in. */
  readonly parts: string;
  /** Whether the assets say anything of groups. */
  readonly groups: boolean;
}

/** Makes the bundle of a playbook, or takes the one made last time when nothing has changed. */
export async function buildBundle(loaded: LoadedPlaybook, { hosts, vars }: BuildOptions): Promise<Bundle> {
  const slot = openSlot(loaded.project.file);
  const runtime = await loadRuntime();
  const { code } = loaded.compiled;
  const varsReadYaml = someText(vars, (text) => text.includes(YAML_FILTER));
  const askedFor = GROUPS_IN_CODE.test(code) || someText(vars, (text) => GROUPS.test(text));
  const parts = digest(Buffer.concat([...Object.values(runtime), Buffer.from(`${varsReadYaml} ${code}`)]));
  if (hosts === undefined) {
    const state = slot.readJson<BundleState>(FILES.state);
    if (state !== undefined && state.parts === parts && isFresh(state.assets)) {
      const bytes = slot.readBytes(FILES.bundle);
      // One of an earlier version does not say: then all are told.
      const asksForGroups = askedFor || state.groups !== false;
      if (bytes !== undefined && digest(bytes) === state.id)
        return { id: state.id, bytes, reused: true, asksForGroups };
    }
  }
  const assets = collectAssets(loaded);
  const needsYaml =
    varsReadYaml ||
    code.includes(YAML_FILTER) ||
    assets.entries.some(({ content }) => content.includes(YAML_FILTER));
  const groups = assets.entries.some(({ content }) => content.includes("groups"));
  const asksForGroups = askedFor || groups;
  const { zipBehind } = await import("./zip.ts");
  const bytes = await zipBehind(Buffer.from(preludeText(runtime.bootstrap.toString("utf8"))), [
    text("manifest.json", JSON.stringify(makeManifest(loaded, hosts?.(asksForGroups)))),
    text("playbook.js", code),
    packed("runner", runtime),
    packed("template", runtime),
    ...(needsYaml ? [packed("yaml", runtime)] : []),
    ...assets.entries,
  ]);
  const id = digest(bytes);
  if (hosts === undefined) {
    slot.write(FILES.bundle, bytes);
    const state: BundleState = { id, assets: assets.fingerprint, parts, groups };
    slot.write(FILES.state, JSON.stringify(state));
  }
  return { id, bytes, reused: false, asksForGroups };
}

/** The filters that read YAML, `from_yaml` and `from_yaml_all`, are the only use of a reader a quarter of the bundle's size. */
const YAML_FILTER = "from_yaml";

/** The word as templates write it, `groups['web']`. */
const GROUPS = /\bgroups\b/;
/** In code neither a host's own, `host.groups`, nor what actions such as `user` are given: `groups: ["sudo"]`. */
const GROUPS_IN_CODE = /(?<!\bhost\.)\bgroups\b(?!:\s*["'`[])/;

/** Whether something holds for a text among values, at any depth. */
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

function text(name: string, content: string): ZipEntry {
  return { name, content: Buffer.from(content), mode: 0o644 };
}

function packed(part: Exclude<keyof RuntimeFiles, "bootstrap">, runtime: RuntimeFiles): ZipEntry {
  return { name: RUNTIME_NAMES[part], content: runtime[part], mode: 0o644, packed: true };
}

function digest(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

function makeManifest({ project, playbook }: LoadedPlaybook, hosts: Manifest["hosts"]): Manifest {
  return {
    format: BUNDLE_FORMAT,
    volley: volleyVersion(),
    playbook: basename(project.file),
    plays: playbook.plays.map(({ name, hosts: pattern, roles }) => ({
      name,
      hosts: pattern,
      roles: roles.map(({ role }) => role.name),
    })),
    ...(hosts === undefined ? {} : { hosts }),
  };
}
