import { posix } from "node:path";
import { performance } from "node:perf_hooks";
import { Readable } from "node:stream";
import type { AssetStore } from "../core/asset.ts";
import { assetEntry } from "../core/bundle.ts";
import { VolleyError } from "../core/errors.ts";
import type { Facts } from "../core/facts.ts";
import { isPlaybook, type Playbook } from "../core/playbook.ts";
import { type JobEnd, runJob } from "../engine/engine.ts";
import { createRenderer } from "../engine/render.ts";
import { createLocalSystem } from "../system/local/local-system.ts";
import type { createTemplates } from "../template/index.ts";
import { createEffects, type EffectsOptions } from "./effects.ts";
import { gatherFacts } from "./facts/gather.ts";
import { thisMachine } from "./facts/sources.ts";
import * as core from "./shared-core.ts";
import { createUserSystems } from "./users.ts";

/** The bundle that the runner was started from, as the bootstrap gives it. */
export interface BundleReader {
  /** The bundle's own path. */
  readonly file: string;
  /** Names of the zip's entries, in order. */
  readonly names: readonly string[];
  /** Bytes of an entry, uncompressed; undefined when there is no such entry. */
  size(name: string): number | undefined;
  /** Permission bits of an entry; 0 when there is no such entry. */
  mode(name: string): number;
  /** An entry's content; undefined when there is no such entry. */
  read(name: string): Buffer | undefined;
  /** Compile and run an entry that is a CommonJS module, and return its exports; `imports` answer its `require` before Node does. */
  load(name: string, imports?: Readonly<Record<string, unknown>>): unknown;
  /** Keep the compiled form of the modules that were loaded for the next start, unless the bundle is carried about. */
  keepCompiled(): void;
}

/** How a Job is carried out by this bundle; the bundle itself supplies the rest of the Effects. */
export type CarryOutOptions = Omit<
  EffectsOptions,
  "system" | "systems" | "facts" | "assets" | "render" | "renderVar" | "makeTemplates"
>;

/** Carry out a Job with the contents of the bundle. */
export type CarryOut = (options: CarryOutOptions) => Promise<JobEnd>;

/** Make the function that carries out Jobs with a bundle; `volley` is the module that its playbook imports. */
export function createCarryOut(bundle: BundleReader, volley: unknown): CarryOut {
  return async (options) => {
    const playbook = loadPlaybook(bundle, volley);
    const system = createLocalSystem();
    const systems = createUserSystems(system, bundle.file, options.job.become);
    try {
      const factsStart = performance.now();
      const facts: Facts = await gatherFacts(system, process.env, thisMachine);
      options.emit({
        type: "facts",
        elapsedMs: Math.round((performance.now() - factsStart) * 100) / 100,
        facts: {
          distribution: facts.distribution,
          distribution_version: facts.distribution_version,
          architecture: facts.architecture,
          kernel: facts.kernel,
        },
      });
      const assets = createBundledAssets(bundle);
      const renderer = createRenderer(
        assets,
        () =>
          (
            bundle.load("template.js", partsOf(bundle)) as {
              readonly createTemplates: typeof createTemplates;
            }
          ).createTemplates,
      );
      const effects = createEffects({ ...options, system, systems, facts, assets, ...renderer });
      return await runJob(playbook, options.job, effects);
    } finally {
      await systems.close();
      system.close();
    }
  };
}

function loadPlaybook(bundle: BundleReader, volley: unknown): Playbook {
  const loaded = bundle.load("playbook.js", { volley }) as { readonly default?: unknown };
  if (!isPlaybook(loaded.default)) throw new VolleyError("BUNDLE_INVALID", "the bundle holds no playbook");
  return loaded.default;
}

/** The modules that the template engine requires: those it shares with the runner, and the YAML reader, loaded at its first use. */
function partsOf(bundle: BundleReader): Readonly<Record<string, unknown>> {
  let loaded: unknown;
  return {
    core,
    get yaml(): unknown {
      loaded ??= bundle.load("yaml.js", { core });
      return loaded;
    },
  };
}

/** Open the assets in a bundle; a role is known by its directory. */
function createBundledAssets(bundle: BundleReader): AssetStore {
  return {
    file: (role, path) => {
      const name = assetEntry(role, posix.normalize(path));
      const size = bundle.size(name);
      if (size === undefined) return null;
      const read = (): Buffer => bundle.read(name)!;
      return { path, size, mode: bundle.mode(name), read, stream: () => Readable.from([read()]) };
    },
    tree: (role, path) => {
      const prefix = `${assetEntry(role, posix.normalize(path)).replace(/\/+$/, "")}/`;
      const below = bundle.names
        .filter((name) => name.startsWith(prefix))
        .map((name) => name.slice(prefix.length));
      return below.length === 0 ? null : below.sort();
    },
  };
}
