import { spawnSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, isAbsolute, join, relative } from "node:path";
import { findProject, type Project } from "../bundle/playbook.ts";
import { concernedBy, openPlan, planHosts } from "../controller/prepare/plan.ts";
import { preflight } from "../controller/prepare/preflight.ts";
import { preparePlaybook, readInventory } from "../controller/prepare/read.ts";

import { VolleyError } from "../core/errors.ts";
import { createSecretStore, type SecretStore } from "../vars/secrets/store.ts";
import { askPassphrase } from "./ask.ts";
import { type InventoryFlags, inventoryPaths } from "./options.ts";
import { expandLimit } from "./past-runs.ts";
import { type SecretFlags, secretOptions } from "./secret-options.ts";

/** Checks a playbook as far as that goes without a host; 0 when all is well, 1 when types are wrong. Other faults are thrown. */
export async function checkPlaybook(
  playbook: string,
  flags: InventoryFlags & SecretFlags & { readonly types: boolean },
): Promise<number> {
  const cwd = process.cwd();
  const project = findProject(playbook, cwd);
  const prepared = await preparePlaybook(playbook, cwd);
  const plays = prepared.playbook.plays.length;
  const told = [`${prepared.name}: ${plays === 1 ? "1 play compiles" : `${plays} plays compile`}`];
  const paths = optionalInventory(flags);
  if (paths === undefined) told.push("no inventory: vars and assets were not checked");
  else {
    const secrets = secretsOf(flags, cwd);
    const limit = await expandLimit(flags.limit);
    const { inventory, select } = await readInventory(paths, {
      cwd,
      concerned: concernedBy(prepared.playbook, limit),
      playbookDirectory: prepared.directory,
      ...(secrets === undefined ? {} : { secrets }),
    });
    const closed = planHosts(prepared.playbook, inventory, (pattern) => select(pattern, limit), limit);
    const plan = secrets === undefined ? closed : await openPlan(closed, secrets);
    let passedOver: ReadonlySet<string>;
    try {
      passedOver = await preflight({
        plays: plan.plays,
        assets: prepared.assets,
        groups: plan.groups,
        check: false,
      });
    } catch (thrown) {
      throw prepared.locate(thrown);
    }
    const checked = plan.hosts.length - passedOver.size;
    if (checked > 0) told.push(`vars, actions and assets fit for ${countHosts(checked)}`);
    if (passedOver.size > 0) {
      told.push(
        `${countHosts(passedOver.size)} passed over: secrets and templates in vars are known only in a run`,
      );
    }
  }
  if (flags.types) {
    const problems = checkTypes(project);
    if (problems !== "") {
      process.stdout.write(problems);
      return 1;
    }
    told.push("types are right");
  }
  process.stdout.write(`${told.join("; ")}\n`);
  return 0;
}

function countHosts(count: number): string {
  return count === 1 ? "1 host" : `${count} hosts`;
}

/** What opens secrets, where the flags say how; nobody is asked for anything otherwise. */
function secretsOf(flags: SecretFlags, cwd: string): SecretStore | undefined {
  const options = secretOptions(flags);
  if (Object.keys(options).length === 0) return undefined;
  const { signal } = new AbortController();
  return createSecretStore({ ...options, cwd, signal, ask: askPassphrase });
}

function optionalInventory(flags: InventoryFlags): readonly string[] | undefined {
  try {
    return inventoryPaths(flags);
  } catch {
    return undefined;
  }
}

/** What tsc says is wrong, with file, line and column in front. */
const DIAGNOSTIC = /\(\d+,\d+\): /;
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/** What the project's own TypeScript has to say; empty when nothing. Fails with `USAGE` when the project has none, or keeps the playbook from it. */
function checkTypes({ file, directory }: Project): string {
  let compiler: string;
  try {
    compiler = join(dirname(createRequire(file).resolve("typescript/package.json")), "bin", "tsc");
  } catch (thrown) {
    throw new VolleyError("USAGE", "the project has no TypeScript to check types with", {
      cause: thrown,
      hint: "npm install --save-dev typescript, or leave types out with --no-types",
    });
  }
  const config = join(directory, "tsconfig.json");
  const args = existsSync(config)
    ? ["--noEmit", "-p", config]
    : [
        "--noEmit",
        "--strict",
        "--skipLibCheck",
        "--allowImportingTsExtensions",
        "--module",
        "nodenext",
        "--target",
        "es2022",
        relative(directory, file),
      ];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [compiler, "--pretty", "false", "--listFiles", ...args],
    { cwd: directory, encoding: "utf8", maxBuffer: MAX_OUTPUT_BYTES },
  );
  const lines = stdout.split("\n");
  const isFile = (line: string): boolean => isAbsolute(line) && !DIAGNOSTIC.test(line);
  const problems = lines.filter((line) => !isFile(line));
  if (status !== 0) return problems.join("\n") || stderr || `tsc ended with ${status}\n`;
  // JavaScript is checked only where the project wants it to be.
  if (/tsx?$/.test(file) && !lines.includes(file) && !lines.includes(realpathSync(file))) {
    throw new VolleyError(
      "USAGE",
      `tsconfig.json leaves ${relative(directory, file)} out: its types were not checked`,
      {
        hint: `add it to "include" there, or leave types out with --no-types`,
      },
    );
  }
  return "";
}
