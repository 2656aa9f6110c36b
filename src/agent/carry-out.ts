import { performance } from "node:perf_hooks";
import { isPlaybook } from "../core/define.ts";
import { VolleyError } from "../core/errors.ts";
import type { Facts } from "../core/facts.ts";
import type { Playbook } from "../core/playbook.ts";
import { type JobEnd, runJob } from "../engine/engine.ts";
import { createRenderer } from "../engine/render.ts";
import { createLocalSystem } from "../system/local/local-system.ts";
import type { createTemplates } from "../template/index.ts";
import type { BundleReader } from "./bundle-reader.ts";
import { createBundledAssets } from "./bundled-assets.ts";
import { createEffects, type EffectsOptions } from "./effects.ts";
import { gatherFacts } from "./facts/gather.ts";
import { thisMachine } from "./facts/machine.ts";
import * as core from "./shared-core.ts";
import { createUserSystems } from "./user-systems.ts";

/** How a Job is carried out by this bundle; the bundle itself supplies the rest of the Effects. */
export type CarryOutOptions = Omit<
  EffectsOptions,
  "system" | "systems" | "facts" | "assets" | "render" | "renderVar"
>;

/** Carries out a Job with what the bundle holds. */
export type CarryOut = (options: CarryOutOptions) => Promise<JobEnd>;

/** Makes what carries out Jobs with a bundle; `volley` is what its playbook imports. */
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

/** What the template engine requires: what it shares with the runner, and the YAML reader, loaded when it is first asked for. */
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
