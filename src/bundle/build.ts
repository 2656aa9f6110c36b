import { createHash } from "node:crypto";
import { basename } from "node:path";
import { isRecord } from "../core/json.ts";
import { BUNDLE_FORMAT, type CarriedHost, type Manifest } from "../core/manifest.ts";
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
}

/** What a bundle is made for. */
export interface BuildOptions {
  /** The hosts of a bundle that is carried to them; it is never cached. */
  readonly hosts?: Readonly<Record<string, CarriedHost>>;
  /** The vars its templates may meet: Jinja text in them decides what must ride along. */
  readonly vars: Iterable<unknown>;
}

const FILES = { bundle: "bundle.run", state: "bundle.json" } as const;

interface BundleState {
  readonly id: string;
  readonly assets: Fingerprint;
  /** Digest of everything else that goes in. */
  readonly parts: string;
}

/** Makes the bundle of a playbook, or takes the one made last time when nothing has changed. */
export async function buildBundle(loaded: LoadedPlaybook, { hosts, vars }: BuildOptions): Promise<Bundle> {
  const slot = openSlot(loaded.project.file);
  const runtime = await loadRuntime();
  const { code } = loaded.compiled;
  const varsReadYaml = readsYaml(vars);
  const parts = digest(Buffer.concat([...Object.values(runtime), Buffer.from(`${varsReadYaml} ${code}`)]));
  if (hosts === undefined) {
    const state = slot.readJson<BundleState>(FILES.state);
    if (state !== undefined && state.parts === parts && isFresh(state.assets)) {
      const bytes = slot.readBytes(FILES.bundle);
      if (bytes !== undefined && digest(bytes) === state.id) return { id: state.id, bytes, reused: true };
    }
  }
  const assets = collectAssets(loaded);
  const needsYaml =
    varsReadYaml ||
    code.includes(YAML_FILTER) ||
    assets.entries.some(({ content }) => content.includes(YAML_FILTER));
  const { zipBehind } = await import("./zip.ts");
  const bytes = await zipBehind(Buffer.from(preludeText(runtime.bootstrap.toString("utf8"))), [
    text("manifest.json", JSON.stringify(makeManifest(loaded, hosts))),
    text("playbook.js", code),
    packed("runner", runtime),
    packed("template", runtime),
    ...(needsYaml ? [packed("yaml", runtime)] : []),
    ...assets.entries,
  ]);
  const id = digest(bytes);
  if (hosts === undefined) {
    slot.write(FILES.bundle, bytes);
    slot.write(FILES.state, JSON.stringify({ id, assets: assets.fingerprint, parts } satisfies BundleState));
  }
  return { id, bytes, reused: false };
}

/** The filters that read YAML, `from_yaml` and `from_yaml_all`, are the only use of a reader a quarter of the bundle's size. */
const YAML_FILTER = "from_yaml";

function readsYaml(values: Iterable<unknown>): boolean {
  for (const value of values) {
    if (
      typeof value === "string"
        ? value.includes(YAML_FILTER)
        : Array.isArray(value)
          ? readsYaml(value)
          : isRecord(value) && readsYaml(Object.values(value))
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
