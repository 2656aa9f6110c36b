import { basename, join } from "node:path";
import { YAML } from "../ansible/load/collection.ts";
import { listFiles } from "../ansible/load/roles.ts";
import { openYaml, varsIn } from "./source.ts";
import { lintTexts } from "./texts.ts";
import type { Unit } from "./unit.ts";

/** The meaning of a file of vars: defaults are for the user to give, and included vars win over those of tasks. */
export type VarsKind = "defaults" | "vars" | "included";

/** Look at a file of vars, and note the vars that it defines. */
export function lintVarsFile(unit: Unit, file: string, kind: VarsKind): void {
  const source = openYaml(file, unit.findings);
  if (source === undefined) {
    // Of an encrypted file the names stay unknown.
    unit.vars.isOpen = true;
    return;
  }
  for (const { name, node } of varsIn(source, unit.findings) ?? []) {
    if (kind === "included") unit.vars.setBy(name);
    else unit.vars.define(name);
    if (kind === "defaults") unit.vars.given.add(name);
    unit.vars.lazily(() => lintTexts(unit, source, node));
  }
}

/** List the files below a directory that Ansible takes for YAML. */
export function yamlFiles(directory: string): readonly string[] {
  return listFiles(directory, (path) => !/(?:^|\/)\./.test(path))
    .filter((path) => YAML.test(path) || basename(path) === "main")
    .map((path) => join(directory, path));
}

/** List the files of an inventory's vars: those have any name. */
export function inventoryFiles(directory: string): readonly string[] {
  return listFiles(directory, (path) => !/(?:^|\/)[._]|~$/.test(path))
    .filter((path) => YAML.test(path) || !basename(path).includes("."))
    .map((path) => join(directory, path));
}
