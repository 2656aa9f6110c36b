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
import { createEffects, type EffectsOptions } from "./effects.ts";
import { gatherFacts } from "./facts/gather.ts";
import { thisMachine } from "./facts/sources.ts";
import type { BundleReader, Parts } from "./parts.ts";
import { createUserSystems } from "./users.ts";

/** How a Job is carried out by this bundle; the bundle itself supplies the rest of the Effects. */
export type CarryOutOptions = Omit<
  EffectsOptions,
  | "system"
  | "systems"
  | "facts"
  | "gather"
  | "assets"
  | "render"
  | "renderVar"
  | "templatesOf"
  | "makeTemplates"
>;

/** Carry out a Job with the contents of the bundle. */
export type CarryOut = (options: CarryOutOptions) => Promise<JobEnd>;

/** Make the function that carries out Jobs with a bundle and its opened parts. */
export function createCarryOut(bundle: BundleReader, parts: Parts): CarryOut {
  return async (options) => {
    const playbook = loadPlaybook(bundle, parts);
    const system = createLocalSystem();
    const systems = createUserSystems(system, bundle.file, options.job.become);
    try {
      const factsStart = performance.now();
      const gather = (): Promise<Facts> => gatherFacts(system, process.env, thisMachine);
      const facts = await gather();
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
      const renderer = createRenderer(assets, () => parts.template.createTemplates, {
        precompiled: () => parts.precompiled,
      });
      const effects = createEffects({ ...options, system, systems, facts, gather, assets, ...renderer });
      return await runJob(playbook, options.job, effects);
    } finally {
      await systems.close();
      system.close();
    }
  };
}

function loadPlaybook(bundle: BundleReader, parts: Parts): Playbook {
  const loaded = bundle.load("playbook.js", {
    get volley() {
      return parts.volley;
    },
    get "volley/ansible"() {
      return parts.ansible;
    },
  }) as { readonly default?: unknown };
  if (!isPlaybook(loaded.default)) throw new VolleyError("BUNDLE_INVALID", "the bundle holds no playbook");
  return loaded.default;
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
