import { join } from "node:path";
import { ROLE_KEYWORDS } from "../ansible/keywords.ts";
import { isFile, mappingOf } from "../ansible/load/read.ts";
import { type FoundRole, findMain } from "../ansible/load/roles.ts";
import { readRoleUse } from "../ansible/load/statements.ts";
import type { SourceLocation } from "../core/errors.ts";
import type { YamlNode } from "../yaml/document.ts";
import { attempt, type LintFile, lintImports, openYaml } from "./source.ts";
import { lintKeywords, lintTasks, noteVars } from "./tasks.ts";
import { lintTemplates } from "./template-files.ts";
import type { Unit } from "./unit.ts";
import { lintVarsFile, yamlFiles } from "./vars-files.ts";

/** Look at a role as a whole: every file of it, reached or not. */
export function lintRole(unit: Unit, { directory }: FoundRole): void {
  for (const file of yamlFiles(join(directory, "defaults"))) lintVarsFile(unit, file, "defaults");
  for (const file of yamlFiles(join(directory, "vars"))) lintVarsFile(unit, file, "vars");
  lintMeta(unit, directory);
  const handlers = findMain(join(directory, "handlers"), "main");
  for (const kind of ["tasks", "handlers"])
    for (const file of yamlFiles(join(directory, kind)))
      lintTaskFile(unit, file, kind === "handlers", file === handlers);
  for (const [file, isHandlers] of unit.queue) lintTaskFile(unit, file, isHandlers, false);
  lintTemplates(unit, join(directory, "templates"));
}

/** Look at a file of tasks, once. `isOutermost`: no loop of an include can give `item`. */
export function lintTaskFile(unit: Unit, file: string, isHandlers: boolean, isOutermost: boolean): void {
  if (unit.seen.has(file)) return;
  unit.seen.add(file);
  const source = openYaml(file, unit.findings);
  if (source === undefined) return;
  lintTasks(
    { unit, source, isHandlers, isOutermost, hasDefaults: unit.hasDefaults, isCaught: false },
    source.reader.root,
  );
}

function lintMeta(unit: Unit, directory: string): void {
  const meta = join(directory, "meta");
  for (const name of ["main", "argument_specs"]) {
    const file = findMain(meta, name);
    if (file === undefined || !isFile(file)) continue;
    const source = openYaml(file, unit.findings);
    const mapping = source && mappingOf(source, source.reader.root);
    if (mapping === undefined || source === undefined) continue;
    noteSpecs(unit, source, mapping.entries.get("argument_specs")?.node ?? null);
    if (name === "main") lintRoleUses(unit, source, mapping.entries.get("dependencies")?.node ?? null);
  }
}

/** The options of a role's argument specs are vars that its users give, unless they leave them out. */
function noteSpecs(unit: Unit, { reader }: LintFile, node: YamlNode | null): void {
  for (const { value: spec } of reader.entries(node) ?? []) {
    const options = reader.entries(spec)?.find(({ key }) => key === "options")?.value ?? null;
    for (const { key } of reader.entries(options) ?? []) unit.vars.define(key);
  }
}

/** Look at a list of roles: of a play, or of a role's dependencies. */
export function lintRoleUses(unit: Unit, source: LintFile, node: YamlNode | null): void {
  const { reader } = source;
  if (node === null || reader.value(node) === null) return;
  const items = reader.items(node);
  if (items === null) {
    unit.findings.add("yaml", "error", reader.locate(node), "a list of roles is expected here");
    return;
  }
  for (const item of items) {
    const at = reader.locate(item);
    const mapping = mappingOf(source, item);
    if (mapping !== undefined) {
      lintKeywords(unit, source, mapping.entries, ROLE_KEYWORDS);
      // Other keys are vars of the role.
      for (const key of mapping.entries.keys()) if (!ROLE_KEYWORDS.has(key)) unit.vars.define(key);
      noteVars(unit, source, mapping.entries.get("vars")?.node ?? null, true);
    }
    attempt(unit.findings, at, () =>
      readRoleUse(
        source,
        item,
        lintImports({ findRole: (name, _from, location) => ({ name, ...use(unit, name, location) }) }),
      ),
    );
  }
}

function use(unit: Unit, name: string, at: SourceLocation): object {
  if (name.includes("{{")) unit.isOpen = true;
  else unit.world.useRole(unit, name, at);
  return {};
}
