import { relative } from "node:path";
import { isPlaybook } from "../core/define.ts";
import { VolleyError } from "../core/errors.ts";
import type { Playbook } from "../core/playbook.ts";
import { type CacheSlot, type Fingerprint, fingerprint, isFresh, openSlot } from "./cache.ts";
import { type Compiled, compile } from "./compile.ts";
import { evaluate } from "./evaluate.ts";
import type { Project } from "./project.ts";
import { volleyVersion } from "./version.ts";

/** A playbook compiled and evaluated on the controller. */
export interface LoadedPlaybook {
  readonly project: Project;
  readonly playbook: Playbook;
  readonly compiled: Pick<Compiled, "code" | "map" | "directories">;
  /** What it was compiled from, as it was then. */
  readonly inputs: Fingerprint;
}

const STATE_FILE = "compiled.json";

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
