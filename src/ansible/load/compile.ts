import { homedir } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import type { Vars } from "../../core/values/vars.ts";
import type { VaultedText } from "../../core/values/vaulted.ts";
import { encodeWhole } from "../../vars/whole-value.ts";
import { type AnsibleSettings, readAnsibleSettings } from "../config/settings.ts";
import { assetName } from "../files.ts";
import type { TreeSettings } from "../ir.ts";
import { isModuleName } from "../module-names.ts";
import { ASKS_FOR_PYTHON } from "./collection.ts";
import { type LoadedTree, type LoadOptions, loadRoles, loadTree } from "./playbook.ts";
import type { SearchPaths } from "./roles.ts";

/** A playbook in YAML as one CommonJS module, with what is to lie beside it. */
export interface CompiledTree {
  readonly code: string;
  readonly map: string;
  readonly inputs: readonly string[];
  readonly directories: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, string>>;
  readonly actions: readonly string[] | "all";
  /** Texts encrypted with Ansible Vault, for the controller to open. */
  readonly vaulted?: readonly VaultedText[];
  /** The files of roles in TypeScript, by the path of the role. */
  readonly scripts: Readonly<Record<string, string>>;
}

/** The name of the roles in TypeScript in the code of a tree, where it has some: a dict by path. */
export const SCRIPTS = "volleyScripts";

const NO_MAP = JSON.stringify({ version: 3, sources: [], names: [], mappings: "" });

/**
 * Load a playbook in Ansible's YAML, and write it as a module. Default settings: those of the working directory. Names of
 * what is imported may be made of the vars in `extra`. `text` is the playbook where the file is not there. Fails with
 * `PLAYBOOK_INVALID`.
 */
export function compilePlaybook(
  file: string,
  settings: AnsibleSettings = readAnsibleSettings({ cwd: process.cwd() }),
  extra: Vars = {},
  text?: string,
): CompiledTree {
  const options = loadOptions(file, settings, extra);
  const loaded = loadTree(file, text === undefined ? options : { ...options, text });
  const scripts = loaded.scripts.size === 0 ? "" : `,${SCRIPTS}`;
  return written(
    file,
    loaded,
    (tree, more) =>
      `"use strict";exports.default=require("volley/ansible").ansiblePlaybook(${tree},require("volley"),${more}${scripts});`,
  );
}

/** Load roles for a playbook in TypeScript. The code goes behind the playbook's. Fails with `PLAYBOOK_INVALID`. */
export function compileRoles(
  file: string,
  projectDirectory: string,
  names: readonly string[],
  settings: AnsibleSettings,
  extra: Vars = {},
): CompiledTree {
  const { tree, ...loaded } = loadRoles(file, names, loadOptions(file, settings, extra));
  const below = relative(projectDirectory, dirname(file)).split(sep).join("/");
  return written(
    file,
    { ...loaded, tree: below === "" ? tree : { ...tree, below } },
    (text, more) =>
      `module.exports={default:require("volley/ansible").withAnsibleRoles(module.exports.default,${text},require("volley"),${more})};`,
  );
}

function loadOptions(file: string, settings: AnsibleSettings, extra: Vars): LoadOptions {
  const directory = dirname(file);
  return {
    playbookDirectory: directory,
    ...roleDirectories(directory, settings),
    library: settings.library?.value ?? [],
    settings: treeSettings(settings),
    extra,
    isModule: isModuleName,
  };
}

function written(
  file: string,
  { tree, files, inputs, modules, vaulted, scripts, asksForPython }: LoadedTree,
  code: (tree: string, more: string) => string,
): CompiledTree {
  const text = JSON.stringify(encodeWhole(tree));
  const more = asksForPython || ASKS_FOR_PYTHON.test(text) ? "{asksForPython:true}" : "{}";
  return {
    code: code(`JSON.parse(${JSON.stringify(text)})`, more),
    scripts: Object.fromEntries(scripts),
    // A module that a template names may be any.
    actions: modules.some((name) => name.includes("{{")) ? "all" : modules,
    map: NO_MAP,
    inputs,
    ...(vaulted.length === 0 ? {} : { vaulted }),
    directories: { ".": dirname(file) },
    files: Object.fromEntries([...files].map(([path, full]) => [assetName(path), full])),
  };
}

/** Return the directories where the roles and collections of a playbook are looked for, beside its own. */
export function roleDirectories(
  playbookDirectory: string,
  settings: AnsibleSettings,
): Pick<SearchPaths, "roles" | "collections"> {
  return {
    roles: settings.rolesPath?.value ?? ROLES.map(atHome),
    collections: [
      join(playbookDirectory, "collections"),
      ...(settings.collectionsPath?.value ?? COLLECTIONS.map(atHome)),
    ],
  };
}

/** Where Ansible looks for roles and collections when no setting says so. */
const ROLES = ["~/.ansible/roles", "/usr/share/ansible/roles", "/etc/ansible/roles"];
const COLLECTIONS = ["~/.ansible/collections", "/usr/share/ansible/collections"];

function atHome(path: string): string {
  return resolve(path.replace(/^~(?=\/|$)/, homedir()));
}

/** Return the settings that the interpreter asks for. */
function treeSettings(settings: AnsibleSettings): TreeSettings {
  const {
    jinja2Native: native,
    forceHandlers,
    gathering,
    errorOnUndefinedVars: errorOnUndefined,
    errorOnMissingHandler,
    strategy,
    anyErrorsFatal,
    noLog,
    taskTimeout,
    pollInterval,
    ansibleManaged: managed,
    gatherSubset,
    gatherTimeout,
    factPath,
    injectFactsAsVars: injectFacts,
  } = settings;
  const asked = {
    native,
    forceHandlers,
    gathering,
    errorOnUndefined,
    errorOnMissingHandler,
    strategy,
    anyErrorsFatal,
    noLog,
    taskTimeout,
    pollInterval,
    managed,
    gatherSubset,
    gatherTimeout,
    factPath,
    injectFacts,
  };
  return Object.fromEntries(
    Object.entries(asked).flatMap(([name, setting]) =>
      setting === undefined ? [] : [[name, setting.value]],
    ),
  );
}
