import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { basename, join, relative } from "node:path";
import { isPlaybook } from "../core/define.ts";
import { VolleyError } from "../core/errors.ts";
import type { Playbook } from "../core/playbook.ts";
import { assetEntry, BUNDLE_FORMAT, type CarriedHost, type Manifest } from "../core/manifest.ts";
import { type CacheSlot, type Fingerprint, fingerprint, isFresh, openSlot } from "./cache.ts";
import { type Compiled, compile } from "./compile.ts";
import { listTree } from "./disk-assets.ts";
import { evaluate } from "./evaluate.ts";
import { preludeText } from "./prelude.ts";
import type { Project } from "./project.ts";
import { loadRuntime, RUNTIME_NAMES } from "./runtime.ts";
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

/** A playbook compiled and evaluated on the controller. */
export interface LoadedPlaybook {
  readonly project: Project;
  readonly playbook: Playbook;
  readonly compiled: Pick<Compiled, "code" | "map" | "directories">;
  /** What it was compiled from, as it was then. */
  readonly inputs: Fingerprint;
}

const FILES = { state: "compiled.json", bundle: "bundle.run", bundleState: "bundle.json" } as const;

interface CompiledState {
  readonly volley: string;
  readonly inputs: Fingerprint;
  readonly code: string;
  readonly map: string;
  readonly directories: Compiled["directories"];
}

/** Compiles a playbook, unless nothing has changed since last time, and evaluates it. `volley` is what it imports. */
export async function loadPlaybook(project: Project, volley: unknown): Promise<LoadedPlaybook> {
  const { file, directory } = project;
  const state = await compiledState(project, openSlot(file));
  const value = evaluate(state, file, volley);
  if (!isPlaybook(value)) {
    throw new VolleyError("PLAYBOOK_INVALID", `${relative(directory, file)} exports no playbook`, {
      hint: "write `export default definePlaybook([ … ])`",
    });
  }
  return { project, playbook: value, compiled: state, inputs: state.inputs };
}

async function compiledState({ file, directory }: Project, slot: CacheSlot): Promise<CompiledState> {
  const cached = parseState<CompiledState>(slot.readText(FILES.state));
  if (cached !== undefined && cached.volley === volleyVersion() && isFresh(cached.inputs)) return cached;
  const { code, map, inputs, directories } = await compile(file, directory);
  const state: CompiledState = { volley: volleyVersion(), inputs: fingerprint(inputs), code, map, directories };
  slot.write(FILES.state, JSON.stringify(state));
  return state;
}

function parseState<T>(text: string | undefined): T | undefined {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as T);
  } catch {
    return undefined;
  }
}

interface BundleState {
  readonly id: string;
  readonly assets: Fingerprint;
  readonly code: string;
  readonly runtime: string;
}

/** Makes the bundle of a playbook, or takes the one made last time when nothing has changed. With `hosts` it is made to be carried, and never cached. */
export async function buildBundle(
  loaded: LoadedPlaybook,
  hosts?: Readonly<Record<string, CarriedHost>>,
): Promise<Bundle> {
  const slot = openSlot(loaded.project.file);
  const code = digest(loaded.compiled.code);
  const runtime = await loadRuntime();
  const runtimeDigest = digest(Buffer.concat([runtime.bootstrap, runtime.runner, runtime.template]));
  if (hosts === undefined) {
    const state = parseState<BundleState>(slot.readText(FILES.bundleState));
    if (state !== undefined && state.code === code && state.runtime === runtimeDigest && isFresh(state.assets)) {
      const bytes = slot.readBytes(FILES.bundle);
      if (bytes !== undefined && digest(bytes) === state.id) return { id: state.id, bytes, reused: true };
    }
  }
  const assets = collectAssets(loaded);
  const { zipBehind } = await import("./zip.ts");
  const manifest = makeManifest(loaded, hosts);
  const text = (name: string, content: string): ZipEntry => ({ name, content: Buffer.from(content), mode: 0o644 });
  const packed = (part: "runner" | "template"): ZipEntry => ({
    name: RUNTIME_NAMES[part],
    content: runtime[part],
    mode: 0o644,
    packed: true,
  });
  const bytes = await zipBehind(Buffer.from(preludeText(runtime.bootstrap.toString("utf8"))), [
    text("manifest.json", JSON.stringify(manifest)),
    text("playbook.js", loaded.compiled.code),
    packed("runner"),
    packed("template"),
    ...assets.entries,
  ]);
  const id = digest(bytes);
  if (hosts === undefined) {
    slot.write(FILES.bundle, bytes);
    slot.write(FILES.bundleState, JSON.stringify({ id, assets: assets.fingerprint, code, runtime: runtimeDigest } satisfies BundleState));
  }
  return { id, bytes, reused: false };
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

const ASSET_DIRECTORIES = ["files", "templates"] as const;

/** Every file below the `files` and `templates` of the playbook's roles. */
function collectAssets({ playbook, compiled }: LoadedPlaybook): { entries: readonly ZipEntry[]; fingerprint: Fingerprint } {
  const entries: ZipEntry[] = [];
  const watched: string[] = [];
  const used = new Set(playbook.plays.flatMap(({ roles }) => roles.map(({ role }) => role.directory)));
  for (const name of used) {
    const directory = name === undefined ? undefined : compiled.directories[name];
    if (name === undefined || directory === undefined) continue;
    // A directory's time changes when a file in it comes or goes, also when `files` itself does.
    watched.push(directory);
    for (const kind of ASSET_DIRECTORIES) {
      const below = join(directory, kind);
      if (!fs.existsSync(below)) continue;
      watched.push(below);
      for (const path of listTree(below)) {
        const full = join(below, path);
        const stats = fs.statSync(full);
        watched.push(full, join(full, ".."));
        entries.push({
          name: assetEntry(name, `${kind}/${path}`),
          content: fs.readFileSync(full),
          mode: (stats.mode & 0o100) === 0 ? 0o644 : 0o755,
        });
      }
    }
  }
  return { entries, fingerprint: fingerprint(watched) };
}
