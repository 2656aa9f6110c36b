import { join } from "node:path";
import { createDiskAssets } from "../bundle/assets.ts";
import { ansibleRolesIn, compile, evaluate, findProject, locate, type Project } from "../bundle/playbook.ts";
import { preflight } from "../controller/prepare/preflight.ts";
import { isVolleyError, messageOf, type SourceLocation, VolleyError } from "../core/errors.ts";
import type { Host } from "../core/inventory.ts";
import { isPlaybook, type PlayDefinition } from "../core/playbook.ts";
import type { RoleUse } from "../core/role.ts";
import { isRecord } from "../core/values/value.ts";
import * as volley from "../index.ts";
import type { Findings } from "./finding.ts";

// Playbooks and roles in TypeScript. Types are for the project's own TypeScript to check.

/** A host of which nothing is known: what depends on its vars is passed over. */
const ANY_HOST: Host = {
  name: "any-host",
  connection: { kind: "local" } as unknown as Host["connection"],
  vars: {},
  sources: {},
  groups: [],
  locked: [new VolleyError("SECRET_FAILED", "the vars of this host are not known")],
};

/** Look at a playbook or a role in TypeScript. `useRole` is told of the roles in YAML that it uses. */
export async function lintTypeScript(
  file: string,
  findings: Findings,
  useRole: (name: string, at: SourceLocation) => void,
): Promise<void> {
  findings.looked(file);
  const project = findProject(file, process.cwd());
  const compiled = await compile(project.file, project.directory).catch((thrown: unknown) => {
    addBuildFaults(thrown, project, findings);
    return undefined;
  });
  if (compiled === undefined) return;
  for (const name of ansibleRolesIn(compiled.code)) useRole(name, { file: findings.shown(file) });
  const plays = attempt(project, findings, () => playsOf(evaluate(compiled, project.file, volley)));
  const assets = createDiskAssets((role) => compiled.directories[role], compiled.files);
  for (const play of plays ?? [])
    for (const use of play.roles) {
      const alone = { ...play, roles: [use] };
      try {
        await preflight({ plays: [{ play: alone, hosts: [ANY_HOST] }], assets, groups: {}, check: false });
      } catch (thrown) {
        addFault(locate(thrown, compiled.map), project, findings);
      }
    }
}

/** Return the plays of what a file exports; a role by itself is put into a play. */
function playsOf(exported: unknown): readonly PlayDefinition[] {
  if (isPlaybook(exported)) return exported.plays;
  const { role } = (typeof exported === "function" ? exported : {}) as Partial<RoleUse>;
  if (role === undefined || !isRecord(role))
    throw new VolleyError("PLAYBOOK_INVALID", "the file exports neither a playbook nor a role", {
      hint: "write `export default definePlaybook([ … ])` or `export default defineRole({ … })`",
    });
  return [{ name: role.name, hosts: "all", roles: [{ role, vars: {}, options: {} }] }];
}

function attempt<T>({ directory, file }: Project, findings: Findings, work: () => T): T | undefined {
  try {
    return work();
  } catch (thrown) {
    addFault(thrown, { directory, file }, findings);
    return undefined;
  }
}

function addFault(thrown: unknown, { directory, file }: Project, findings: Findings): void {
  if (!isVolleyError(thrown)) throw thrown;
  const { location, message, hint } = thrown;
  // Which vars a host has is known with an inventory: `volley check` looks at that.
  if (thrown.code === "VARS_INVALID") return;
  const at =
    location === undefined ? { file: findings.shown(file) } : { ...location, file: shownOf(location.file) };
  findings.add(thrown.code === "ASSET_MISSING" ? "missing-file" : "playbook", "error", at, message, hint);

  function shownOf(path: string): string {
    return findings.shown(join(directory, path));
  }
}

/** A message of esbuild's. */
interface BuildMessage {
  readonly text: string;
  readonly location: { readonly file: string; readonly line: number; readonly column: number } | null;
}

/** Add each fault that the compiler found. */
function addBuildFaults(thrown: unknown, project: Project, findings: Findings): void {
  const { cause } = thrown as { readonly cause?: { readonly errors?: readonly BuildMessage[] } };
  const errors = cause?.errors ?? [];
  if (errors.length === 0 || !isVolleyError(thrown)) {
    addFault(thrown, project, findings);
    return;
  }
  for (const { text, location } of errors)
    findings.add(
      "build",
      "error",
      location === null
        ? { file: findings.shown(project.file) }
        : {
            file: findings.shown(join(project.directory, location.file)),
            line: location.line,
            column: location.column + 1,
          },
      errors.length === 1 ? messageOf(thrown) : text,
    );
}
