import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { encodeWhole } from "../../vars/whole-value.ts";
import { assetName } from "../files.ts";
import { isModuleName } from "../module-names.ts";
import { loadTree } from "./playbook.ts";

/** A playbook in YAML as one CommonJS module, with what is to lie beside it. */
export interface CompiledTree {
  readonly code: string;
  readonly map: string;
  readonly inputs: readonly string[];
  readonly directories: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, string>>;
  readonly actions: readonly string[];
}

const NO_MAP = JSON.stringify({ version: 3, sources: [], names: [], mappings: "" });

/** Load a playbook in Ansible's YAML, and write it as a module. Fails with `PLAYBOOK_INVALID`. */
export function compilePlaybook(file: string): CompiledTree {
  const directory = dirname(file);
  const { tree, files, inputs, modules } = loadTree(file, {
    playbookDirectory: directory,
    roles: pathsOf(process.env.ANSIBLE_ROLES_PATH, [
      "~/.ansible/roles",
      "/usr/share/ansible/roles",
      "/etc/ansible/roles",
    ]),
    collections: [
      join(directory, "collections"),
      ...pathsOf(process.env.ANSIBLE_COLLECTIONS_PATH, [
        "~/.ansible/collections",
        "/usr/share/ansible/collections",
      ]),
    ],
    library: pathsOf(process.env.ANSIBLE_LIBRARY, []),
    settings: {},
    openVault: (_text, where) => {
      throw new VolleyError("SECRET_FAILED", `${where} is encrypted`);
    },
    isModule: isModuleName,
  });
  return {
    code: `"use strict";exports.default=require("volley/ansible").ansiblePlaybook(JSON.parse(${JSON.stringify(JSON.stringify(encodeWhole(tree)))}),require("volley"));`,
    actions: modules,
    map: NO_MAP,
    inputs,
    directories: { ".": directory },
    files: Object.fromEntries([...files].map(([path, full]) => [assetName(path), full])),
  };
}

function pathsOf(text: string | undefined, initial: readonly string[]): readonly string[] {
  const paths = text === undefined || text === "" ? initial : text.split(":").filter((path) => path !== "");
  return paths.map((path) => resolve(path.replace(/^~(?=\/|$)/, homedir())));
}
