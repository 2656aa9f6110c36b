import type { AnsibleSettings } from "../../ansible/config/settings.ts";
import { createDiskAssets } from "../../bundle/assets.ts";
import { type BuildOptions, type Bundle, buildBundle, identify } from "../../bundle/build.ts";
import {
  compile,
  evaluate,
  findProject,
  loadPlaybook,
  locate,
  locateStack,
  type PlaybookText,
} from "../../bundle/playbook.ts";
import type { AssetStore } from "../../core/asset.ts";
import { type SerializedError, VolleyError } from "../../core/errors.ts";
import type { Host, Inventory } from "../../core/inventory.ts";
import type { Playbook } from "../../core/playbook.ts";
import type { ProgramWorld } from "../../core/program.ts";
import { locateSecrets } from "../../core/secret.ts";
import type { Vars } from "../../core/values/vars.ts";
import type { VaultedText } from "../../core/values/vaulted.ts";
import * as volley from "../../index.ts";
import { addExtraVars, type ExtraVars, readExtraVars } from "../../inventory/extra-vars.ts";
import { loadInventory } from "../../inventory/load.ts";
import { limitHosts, selectHosts } from "../../inventory/select.ts";
import { narrowToThisMachine } from "../../inventory/this-machine.ts";
import type { SelectOptions } from "../../patterns/select.ts";
import type { SecretStore } from "../../vars/secrets/store.ts";

// Only this file of the controller imports the modules that playbooks import: it evaluates playbooks to know their plays.

/** A playbook ready to be run. */
export interface PreparedPlaybook {
  /** The playbook's path in its project. */
  readonly name: string;
  readonly directory: string;
  /** True where no file has it. */
  readonly isText?: boolean;
  readonly playbook: Playbook;
  readonly assets: AssetStore;
  /** What plays that are carried out here may use of this machine. */
  readonly world?: ProgramWorld;
  /** What is encrypted with Ansible Vault in it. */
  readonly vaulted?: readonly VaultedText[];
  /** Evaluate the playbook once more, so that it shares no state with another host's; `print` is its `console`. */
  evaluateAnew(print: Pick<Console, "log">): Playbook;
  bundle(options: BuildOptions): Promise<Bundle>;
  /** Return what stands for a bundle that no host gets. */
  identity(): Bundle;
  /** Return an error thrown here by the playbook's code, with its place in the source. */
  locate(thrown: unknown): unknown;
  /** Return an error from a host with its place in the source. */
  locateRemote(error: SerializedError): SerializedError;
}

/**
 * Compile and evaluate a playbook; one in Ansible's YAML with these settings, by default those of the working
 * directory, and with these extra vars. Fails with `PLAYBOOK_MISSING`, `BUILD_FAILED`, `BUNDLE_FORBIDDEN` or
 * `PLAYBOOK_INVALID`.
 */
export async function preparePlaybook(
  file: string | PlaybookText,
  cwd: string,
  settings?: AnsibleSettings,
  extra?: Vars,
): Promise<PreparedPlaybook> {
  const project = findProject(file, cwd);
  const loaded = await loadPlaybook(project, volley, settings, extra);
  const { map, directories, files, vaulted } = loaded.compiled;
  return {
    name: project.file.slice(project.directory.length + 1),
    directory: project.directory,
    isText: project.text !== undefined,
    playbook: loaded.playbook,
    ...(vaulted === undefined ? {} : { vaulted }),
    assets: createDiskAssets((role) => directories[role], files),
    evaluateAnew: (print) => evaluate(loaded.compiled, project.file, volley, print) as Playbook,
    bundle: (options) => buildBundle(loaded, options),
    identity: () => identify(loaded),
    locate: (thrown) => locate(thrown, map),
    locateRemote: (error) => {
      if (error.location !== undefined) return error;
      const { stack, ...rest } = error;
      const location = locateStack(stack, map);
      return location === undefined ? (error.code === "INTERNAL" ? error : rest) : { ...rest, location };
    },
  };
}

/** Return the extra vars that names of imports may be made of, as {@link preparePlaybook} takes them. */
export async function plainExtraVars(
  given: Vars | readonly string[] | undefined,
  options: { readonly cwd: string; readonly secrets: SecretStore },
): Promise<Vars> {
  if (given === undefined) return {};
  const { entries } = await readExtraVars(given, options);
  const plain = [...entries].filter(
    ([, { value }]) => typeof value === "string" || typeof value === "number",
  );
  return Object.fromEntries(plain.map(([name, { value }]) => [name, value]));
}

/** Compile and evaluate a TypeScript inventory; returns its default export. */
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

/** An inventory, and how to select hosts of it. */
export interface ReadInventory {
  readonly inventory: Inventory;
  /** The name of the one host to work on, in a run on this machine alone: the limit of all selections. */
  readonly only?: string;
  /** Return the hosts of a pattern that are also in the limit, in the pattern's order. */
  select(pattern: string, limit?: string, options?: SelectOptions): readonly Host[];
}

/** Options of reading an inventory. */
export interface ReadInventoryOptions {
  /** The directory that relative paths count from. Default: the process's. */
  readonly cwd?: string;
  /** The playbook's directory, whose `group_vars` and `host_vars` win over the inventory's. Default: `cwd`. */
  readonly playbookDirectory?: string;
  /** Opens encrypted files. Default: they stay closed. */
  readonly secrets?: SecretStore;
  /** The hosts whose vars are needed; encrypted files of other hosts stay closed. Default: all hosts. */
  readonly concerned?: Concerned | undefined;
  /** Vars that win over all others, on every host. */
  readonly extraVars?: ExtraVars["entries"];
  /** True to go on without any source. */
  readonly isOptional?: boolean;
  /** True to pass over parts of patterns that name nothing. */
  readonly isLenient?: boolean;
  /** The connection of hosts that say nothing of it. Default: `ssh`. */
  readonly connection?: string | undefined;
  /** Set for a run on this machine alone: the limit that names its host, if there is one. */
  readonly local?: { readonly limit: string | undefined } | undefined;
}

/** The hosts of some patterns that are also in the limit. */
export interface Concerned {
  readonly patterns: readonly string[];
  readonly limit?: string | undefined;
}

/**
 * Read an inventory, or take the one given. Fails with `INVENTORY_MISSING` or `INVENTORY_INVALID`.
 *
 * @param from A file, a directory, or host names with a comma; or several of them; or an inventory.
 */
export async function readInventory(
  from: string | readonly string[] | Inventory,
  options: ReadInventoryOptions = {},
): Promise<ReadInventory> {
  const { cwd = process.cwd(), local } = options;
  const inventory = isInventory(from)
    ? addExtraVars(from, options.extraVars)
    : await load(typeof from === "string" ? [from] : from, { ...options, cwd });
  if (local !== undefined) {
    const { inventory: narrowed, name, forPatterns } = narrowToThisMachine(inventory, local.limit, cwd);
    const select: ReadInventory["select"] = (pattern, _limit, some) =>
      pickHosts(forPatterns, pattern, name, { ...some, cwd });
    return { inventory: narrowed, only: name, select };
  }
  return {
    inventory,
    select: (pattern, limit, some) => pickHosts(inventory, pattern, limit, { ...some, cwd }),
  };
}

function pickHosts(
  inventory: Inventory,
  pattern: string,
  limit: string | undefined,
  options: SelectOptions & { readonly cwd: string },
): readonly Host[] {
  const hosts = selectHosts(inventory, pattern, options);
  return limit === undefined ? hosts : limitHosts(hosts, inventory, limit, options);
}

function isInventory(value: string | readonly string[] | Inventory): value is Inventory {
  return typeof value === "object" && "hosts" in value;
}

function load(
  paths: readonly string[],
  options: ReadInventoryOptions & { readonly cwd: string },
): Promise<Inventory> {
  if (paths.length === 0 && options.isOptional !== true) {
    throw new VolleyError("INVENTORY_MISSING", "no inventory was given", {
      hint: "name one with -i: a file, a directory, or host names with a comma: -i 'web1,web2,'",
    });
  }
  const {
    cwd,
    playbookDirectory = cwd,
    secrets,
    concerned,
    extraVars,
    connection,
    isLenient,
    local,
  } = options;
  const passOver = isLenient === true || local !== undefined ? { onUnknown: () => {} } : {};
  const among = (outline: Inventory): readonly [Inventory, string | undefined] => {
    if (local === undefined) return [outline, concerned?.limit];
    const { forPatterns, name } = narrowToThisMachine(outline, local.limit, cwd);
    return [forPatterns, name];
  };
  return loadInventory(paths, {
    cwd,
    playbookDirectory,
    loadModule: loadInventoryModule,
    ...(secrets === undefined ? {} : { secrets }),
    ...(extraVars === undefined ? {} : { extraVars }),
    ...(isLenient === undefined ? {} : { asAnsible: isLenient }),
    ...(connection === undefined ? {} : { connection }),
    ...(concerned === undefined
      ? {}
      : {
          concerned: (outline) => {
            const [inventory, limit] = among(outline);
            return concerned.patterns.flatMap((pattern) =>
              pickHosts(inventory, pattern, limit, { ...passOver, cwd }),
            );
          },
        }),
  });
}
