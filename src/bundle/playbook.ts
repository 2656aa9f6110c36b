import { existsSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { isPlaybook, type Playbook } from "../core/playbook.ts";

import { type CacheSlot, type Fingerprint, fingerprint, isFresh, openSlot } from "./cache.ts";
import { type Compiled, compile, evaluate } from "./compile.ts";
import { volleyVersion } from "./runtime.ts";

/** A playbook's file and the directory that relative paths start from. */
export interface Project {
  /** Absolute. */
  readonly file: string;
  /** The nearest directory above the file with a package.json, else the file's own. */
  readonly directory: string;
}

/** Find a playbook's project. Fails with `PLAYBOOK_MISSING`, or with `BUNDLE_INVALID` for a file that is already a bundle. */
export function findProject(playbook: string, cwd: string): Project {
  const file = resolve(cwd, playbook);
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined) {
    throw new VolleyError("PLAYBOOK_MISSING", `there is no playbook ${playbook}`, {
      hint: `looked for ${file}`,
    });
  }
  if (!stats.isFile()) throw new VolleyError("PLAYBOOK_MISSING", `${playbook} is not a file`);
  if (!/\.[cm]?[jt]sx?$/.test(file)) {
    throw new VolleyError("BUNDLE_INVALID", `${playbook} is not a TypeScript playbook`, {
      hint: file.endsWith(".run")
        ? "it looks like a bundle; a bundle cannot be bundled again: give the playbook it was made from"
        : "a playbook's name ends in .ts or .js",
    });
  }
  let directory = dirname(file);
  for (let above = directory; above !== dirname(above); above = dirname(above)) {
    if (!existsSync(join(above, "package.json"))) continue;
    directory = above;
    break;
  }
  return { file, directory };
}

/** A playbook, compiled and evaluated on the controller. */
export interface LoadedPlaybook {
  readonly project: Project;
  readonly playbook: Playbook;
  readonly compiled: Pick<Compiled, "code" | "map" | "directories">;
  /** The files it was compiled from, as they were then. */
  readonly inputs: Fingerprint;
}

/** Compile a playbook, unless its files are unchanged since the last time, and evaluate it. `volley` is the module it imports. */
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

const STATE_FILE = "compiled.json";

interface CompiledState {
  readonly volley: string;
  readonly inputs: Fingerprint;
  readonly code: string;
  readonly map: string;
  readonly directories: Compiled["directories"];
}

async function compiledState({ file, directory }: Project, slot: CacheSlot): Promise<CompiledState> {
  const cached = slot.readJson<CompiledState>(STATE_FILE);
  if (cached !== undefined && cached.volley === volleyVersion() && isFresh(cached.inputs)) return cached;
  const { code, map, inputs, directories } = await compile(file, directory);
  const state: CompiledState = {
    volley: volleyVersion(),
    inputs: fingerprint(inputs),
    code,
    map,
    directories,
  };
  slot.write(STATE_FILE, JSON.stringify(state));
  return state;
}
