import { basename, dirname, resolve } from "node:path";
import type { AnsibleSettings } from "../ansible/config/settings.ts";
import { type FoundRole, findRole } from "../ansible/load/roles.ts";
import { createModules } from "../ansible/modules/registry.ts";
import type { SourceLocation } from "../core/errors.ts";
import * as volley from "../index.ts";
import { type Finding, Findings } from "./finding.ts";
import { checkHandlers, checkUnusedHandlers } from "./handlers.ts";
import { lintPlaybook } from "./playbook.ts";
import { lintRole, lintTaskFile } from "./role.ts";
import { type Target, targetsOf } from "./targets.ts";
import { lintTemplate } from "./template-files.ts";
import { baseOfRole, type LintWorld, makeUnit, ownRole, type Unit } from "./unit.ts";
import { checkVars } from "./variables.ts";
import { lintVarsFile } from "./vars-files.ts";

/** The result of looking at files. */
export interface LintResult {
  /** By file, line and column. */
  readonly findings: readonly Finding[];
  /** The number of files that were looked at. */
  readonly files: number;
}

/** Options of {@link lint}. */
export interface LintOptions {
  readonly cwd: string;
  readonly settings: AnsibleSettings;
  /** The names of all vars that the inventory and extra vars give; undefined where they are not known. */
  readonly inventoryVars?: ReadonlySet<string> | undefined;
}

/** Find all that would not work when it is run, in playbooks, roles and projects. Fails with `USAGE` for a path that holds none. */
export async function lint(paths: readonly string[], options: LintOptions): Promise<LintResult> {
  const { cwd } = options;
  const targets = paths.flatMap((path) => targetsOf(resolve(cwd, path), path));
  const linter = new Linter(options);
  // Roles that playbooks use are looked at with them, and not once more by themselves.
  for (const target of targets) if (target.kind === "playbook") linter.look(target);
  for (const target of targets)
    if (target.kind !== "playbook" && target.kind !== "typescript") linter.look(target);
  for (const target of targets) if (target.kind === "typescript") linter.scripts.add(target.file);
  if (linter.scripts.size > 0) {
    const { lintTypeScript } = await import("./typescript.ts");
    // Roles in YAML that a script uses may bring more scripts in.
    for (const file of linter.scripts)
      await lintTypeScript(file, linter.findings, (name, at) => linter.useRole(file, name, at));
  }
  return linter.end();
}

class Linter {
  readonly findings: Findings;
  /** Playbooks and roles in TypeScript. */
  readonly scripts = new Set<string>();
  readonly #world: LintWorld;
  readonly #units = new Set<Unit>();
  readonly #roles = new Map<string, Unit>();

  constructor({ cwd, settings, inventoryVars }: LintOptions) {
    this.findings = new Findings(cwd);
    this.#world = {
      findings: this.findings,
      modules: createModules(volley),
      settings,
      inventoryVars,
      useRole: (unit, name, at) => {
        const found = findRole(name, unit.search, unit.role, unit.collections) ?? ownRole(unit, name);
        if (found !== undefined && found.script === undefined) return this.#role(found, unit);
        // Files that are not read here may declare any handler.
        unit.isOpen = true;
        if (found?.script !== undefined) {
          this.scripts.add(found.script);
          return undefined;
        }
        this.findings.add(
          "missing-role",
          // A role by itself is installed with its dependencies.
          unit.hasPlaybook ? "error" : "warning",
          at,
          `the role '${name}' was not found`,
          "install it with ansible-galaxy, or put it into roles/",
        );
        return undefined;
      },
    };
  }

  look(target: Exclude<Target, { readonly kind: "typescript" }>): void {
    switch (target.kind) {
      case "role":
        this.#role({ directory: target.directory, name: basename(target.directory) }, undefined);
        break;
      case "playbook": {
        const unit = this.#unit(makeUnit(this.#world, dirname(target.file)));
        lintPlaybook(unit, target.file);
        break;
      }
      case "tasks":
        lintTaskFile(this.#loose(target.file), target.file, false, false);
        break;
      case "vars":
        lintVarsFile(this.#loose(target.file), target.file, "vars");
        break;
      case "template":
        lintTemplate(this.#loose(target.file), target.file);
        break;
    }
  }

  /** Look at a role in YAML that a playbook in TypeScript uses. */
  useRole(file: string, name: string, at: SourceLocation): void {
    const unit = makeUnit(this.#world, dirname(file));
    unit.isOpen = true;
    this.#world.useRole(unit, name, at);
  }

  #unit(unit: Unit): Unit {
    this.#units.add(unit);
    return unit;
  }

  /** Make the unit of a file by itself: of the role that the file is in. */
  #loose(file: string): Unit {
    const [, directory] = /^(.*)\/(?:tasks|handlers|vars|defaults|templates)\//.exec(file) ?? [];
    const role = directory === undefined ? undefined : { directory, name: basename(directory) };
    const base = directory === undefined ? dirname(file) : baseOfRole(directory);
    const unit = makeUnit(this.#world, base, role, false);
    unit.isOpen = true;
    return unit;
  }

  /** Look at a role, once; `user` brings it in. */
  #role(role: FoundRole, user: Unit | undefined): Unit {
    const { directory } = role;
    let unit = this.#roles.get(directory);
    const isNew = unit === undefined;
    const base = user?.base ?? baseOfRole(directory);
    unit ??= this.#unit(makeUnit(this.#world, base, role, user?.hasPlaybook ?? false));
    this.#roles.set(directory, unit);
    user?.uses.add(unit);
    if (isNew) {
      unit.hasDefaults = user?.hasDefaults ?? false;
      unit.collections = user?.collections ?? [];
      lintRole(unit, role);
    }
    return unit;
  }

  end(): LintResult {
    for (const unit of this.#roles.values()) if (!unit.hasPlaybook) checkHandlers(unit);
    checkUnusedHandlers([...this.#units].flatMap((unit) => [unit, ...unit.plays]));
    checkVars([...this.#units]);
    return { findings: this.findings.sorted(), files: this.findings.files };
  }
}
