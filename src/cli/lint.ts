import { dirname, resolve } from "node:path";
import { type Command, Option } from "commander";
import { volleyVersion } from "../bundle/this-package.ts";
import type { LintResult } from "../lint/index.ts";
import { collect, type ExtraVarsFlags } from "./options.ts";
import { ansibleSettings } from "./run/options.ts";

interface LintFlags extends ExtraVarsFlags {
  readonly inventory?: readonly string[];
  readonly strict?: boolean;
  readonly json?: boolean;
  readonly sarif?: boolean;
  readonly hints: boolean;
}

/** Exit code of `volley lint` where something was found. */
const FOUND = 2;

/** Add `volley lint`. */
export function addLintCommand(program: Command): void {
  program
    .command("lint <path...>")
    .summary("find what would not work in playbooks and roles")
    .description(
      "Look at playbooks and roles, Ansible's in YAML and Volley's in TypeScript, without any host, and list all that would not work when it is run: unknown modules, parameters and keywords, values that cannot be, templates that cannot be read, missing files, roles and handlers. A path is a playbook, a role's directory, a project, a file of tasks or vars, or a template. The exit code is 0 where nothing was found, and 2 where something is wrong.",
    )
    .option(
      "-i, --inventory <path>",
      "inventory: a file, a directory, or 'host1,host2,'; with it, every variable of a playbook must be known; repeatable",
      collect,
    )
    .option(
      "-e, --extra-vars <vars>",
      "vars that runs are given: k=v, JSON, YAML or @file; repeatable",
      collect,
    )
    .option("--strict", "let warnings count as errors for the exit code")
    .option("--no-hints", "leave hints out: advice on what works")
    .addOption(new Option("--json", "print the findings as JSON").conflicts("sarif"))
    .option("--sarif", "print the findings as SARIF 2.1.0, for code hosts")
    .action(async (paths: readonly string[], flags: LintFlags) => {
      process.exitCode = await lintCommand(paths, flags);
    });
}

async function lintCommand(paths: readonly string[], flags: LintFlags): Promise<number> {
  const [{ lint }, { countOf, formatJson, formatSarif, formatText }] = await Promise.all([
    import("../lint/index.ts"),
    import("../lint/report.ts"),
  ]);
  const cwd = process.cwd();
  const found = await lint(paths, {
    cwd,
    settings: (await ansibleSettings(["site.yml"]))!,
    inventoryVars: await varsOf(flags, paths, cwd),
  });
  const result: LintResult = {
    ...found,
    findings: found.findings.filter(({ severity }) => flags.hints || severity !== "hint"),
  };
  process.stdout.write(
    flags.json === true
      ? formatJson(result)
      : flags.sarif === true
        ? formatSarif(result, volleyVersion())
        : formatText(result),
  );
  const { error, warning } = countOf(result.findings);
  return error > 0 || (flags.strict === true && warning > 0) ? FOUND : 0;
}

/** Return the names of all vars that an inventory and extra vars give; undefined without one, or where a file stays closed. */
async function varsOf(
  { inventory: from, extraVars }: LintFlags,
  paths: readonly string[],
  cwd: string,
): Promise<ReadonlySet<string> | undefined> {
  if (from === undefined) return undefined;
  const [{ readInventory }, { readExtraVars }, { createSecretStore }] = await Promise.all([
    import("../controller/prepare/read.ts"),
    import("../inventory/extra-vars.ts"),
    import("../vars/secrets/store.ts"),
  ]);
  const secrets = createSecretStore({ cwd });
  const extra = extraVars === undefined ? undefined : await readExtraVars(extraVars, { cwd, secrets });
  const [first = "."] = paths;
  const directory = resolve(cwd, first);
  const { inventory } = await readInventory(from, {
    cwd,
    playbookDirectory: /\.\w+$/.test(first) ? dirname(directory) : directory,
    isLenient: true,
  });
  const hosts = [...inventory.hosts.values()];
  if (hosts.some(({ locked }) => locked !== undefined)) return undefined;
  const given = [...hosts, ...inventory.groups.values()].flatMap(({ vars }) => Object.keys(vars));
  return new Set([...given, ...(extra?.entries.keys() ?? [])]);
}
