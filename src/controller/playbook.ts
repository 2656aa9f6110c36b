import { createDiskAssets } from "../bundle/assets.ts";
import { type BuildOptions, type Bundle, buildBundle } from "../bundle/build.ts";
import { compile, evaluate, locate, locateStack } from "../bundle/compile.ts";

import { findProject, loadPlaybook } from "../bundle/playbook.ts";

import type { AssetStore } from "../core/asset.ts";
import { type SerializedError, VolleyError } from "../core/errors.ts";
import type { Playbook } from "../core/playbook.ts";
import { locateSecrets } from "../core/secret.ts";
// The only place where the controller reaches what playbooks are made of: it evaluates them to know their plays.
import * as volley from "../index.ts";

/** A playbook ready to be run. */
export interface PreparedPlaybook {
  /** Relative to its project. */
  readonly name: string;
  readonly directory: string;
  readonly playbook: Playbook;
  readonly assets: AssetStore;
  /** Evaluates the playbook once more, so that it shares no state with another host's; `print` is its `console`. */
  evaluateAnew(print: Pick<Console, "log">): Playbook;
  bundle(options: BuildOptions): Promise<Bundle>;
  /** An error thrown by the playbook's code here, with its place in the source. */
  locate(thrown: unknown): unknown;
  /** The same for one that came from a host. */
  locateRemote(error: SerializedError): SerializedError;
}

/** Compiles and evaluates a playbook. Fails with `PLAYBOOK_MISSING`, `BUILD_FAILED`, `BUNDLE_FORBIDDEN` or `PLAYBOOK_INVALID`. */
export async function preparePlaybook(file: string, cwd: string): Promise<PreparedPlaybook> {
  const project = findProject(file, cwd);
  const loaded = await loadPlaybook(project, volley);
  const { map, directories } = loaded.compiled;
  return {
    name: project.file.slice(project.directory.length + 1),
    directory: project.directory,
    playbook: loaded.playbook,
    assets: createDiskAssets((role) => directories[role]),
    evaluateAnew: (print) => evaluate(loaded.compiled, project.file, volley, print) as Playbook,
    bundle: (options) => buildBundle(loaded, options),
    locate: (thrown) => locate(thrown, map),
    locateRemote: (error) => {
      if (error.location !== undefined) return error;
      const { stack, ...rest } = error;
      const location = locateStack(stack, map);
      return location === undefined ? (error.code === "INTERNAL" ? error : rest) : { ...rest, location };
    },
  };
}

/** Compiles and evaluates a TypeScript inventory, and gives its default export. */
export async function loadInventoryModule(file: string): Promise<unknown> {
  const project = findProject(file, process.cwd());
  const compiled = await compile(project.file, project.directory);
  const value = evaluate(compiled, project.file, volley);
  if (value === undefined) {
    throw new VolleyError("INVENTORY_INVALID", `${file} exports no inventory`, {
      hint: "write `export default defineInventory({ … })`",
    });
  }
  return locateSecrets(value, (stack) => locateStack(stack, compiled.map));
}
