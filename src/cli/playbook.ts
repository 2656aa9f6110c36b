import { spawnSync } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, isAbsolute, join, relative } from "node:path";
import type { Command } from "commander";
import type { AnsibleSettings } from "../ansible/config/settings.ts";
import type { Project } from "../bundle/playbook.ts";
import type { PreparedPlaybook } from "../controller/prepare/read.ts";
import { VolleyError } from "../core/errors.ts";
import type { RuntimeArch } from "../core/runtimes.ts";
import type { SecretStore } from "../vars/secrets/store.ts";
import {
  addExtraVarsOption,
  addInventoryOptions,
  addSecretOptions,
  type ExtraVarsFlags,
  type InventoryFlags,
  inventoryPaths,
  type SecretFlags,
  secretOptions,
} from "./options.ts";
import { writeOutput } from "./output-file.ts";
import { ansibleSettings, inventoriesOf, isAnsiblePlaybook, settleSources } from "./run/options.ts";
import { expandLimit } from "./run/runs.ts";
import { parseArchs } from "./runtime.ts";
import { askPassphrase, expandHome, printWarning } from "./terminal.ts";
import { signOption } from "./verify.ts";

// The commands on a playbook that reach no host: `volley check` and `volley bundle`.

interface CheckFlags extends InventoryFlags, ExtraVarsFlags, SecretFlags {
  readonly types: boolean;
}

/** Add `volley check`. */
export function addCheckCommand(program: Command): void {
  const command = program
    .command("check <playbook>")
    .summary("check a playbook without touching any host")
    .description(
      "Compile a playbook, check its types with the project's own TypeScript and, with an inventory, its roles' vars, actions and assets for every host. Secrets are opened only where a flag says how; other hosts with secrets are passed over.",
    );
  addSecretOptions(addExtraVarsOption(addInventoryOptions(command)))
    .option("--no-types", "do not check types")
    .action(async (playbook: string, flags: CheckFlags) => {
      const settings = await ansibleSettings([playbook]);
      process.exitCode = await checkPlaybook(playbook, settleSources(flags, settings), {
        cwd: process.cwd(),
        ...(settings === undefined ? {} : { settings }),
      });
    });
}

/** The surroundings in which a playbook is checked. */
interface CheckPlace {
  /** An absolute path. */
  readonly cwd: string;
  readonly settings?: AnsibleSettings;
}

/** Check a playbook without a host. Returns 0 when all is well, 1 when types are wrong; throws other faults. */
export async function checkPlaybook(file: string, flags: CheckFlags, place: CheckPlace): Promise<number> {
  const { cwd, settings } = place;
  const [{ findProject }, { preparePlaybook }] = await Promise.all([
    import("../bundle/playbook.ts"),
    import("../controller/prepare/read.ts"),
  ]);
  const project = findProject(file, cwd);
  const playbook = await preparePlaybook(file, cwd, settings);
  const plays = playbook.playbook.plays.length;
  const told = [
    `${playbook.name}: ${plays === 1 ? "1 play compiles" : `${plays} plays compile`}`,
    ...(await checkHosts(playbook, flags, cwd)),
  ];
  // A playbook of Ansible's has none.
  if (flags.types && !isAnsiblePlaybook(file)) {
    const problems = checkTypes(project);
    if (problems !== "") {
      process.stdout.write(problems);
      return 1;
    }
    told.push("types are right");
  }
  process.stdout.write(`${told.join("; ")}\n`);
  tellFaults(playbook);
  return 0;
}

/** Tell what a run would tell only when it reaches it: of a role, tasks for other systems may never be reached. */
function tellFaults({ playbook: { plays, guests } }: PreparedPlaybook): void {
  const faults = new Set([
    ...plays.flatMap(({ program }) => program?.faults ?? []),
    ...(guests?.faults ?? []),
  ]);
  for (const fault of faults) console.error(`volley: ${fault}; a run fails where it reaches this task`);
}

/** Check vars, actions and assets for every host of an inventory; returns what was checked. */
async function checkHosts(
  prepared: PreparedPlaybook,
  flags: CheckFlags,
  cwd: string,
): Promise<readonly string[]> {
  const paths = optionalInventory(flags, isAnsiblePlaybook(prepared.name));
  if (paths === undefined) return ["no inventory: vars and assets were not checked"];
  const [{ openPlan, readHostPlan }, { preflight }] = await Promise.all([
    import("../controller/prepare/plan.ts"),
    import("../controller/prepare/preflight.ts"),
  ]);
  const secrets = await openSecrets(flags, cwd);
  if (secrets !== undefined) {
    const { openVaulted } = await import("../controller/prepare/vaulted.ts");
    await openVaulted(prepared, secrets);
  }
  const limit = await expandLimit(flags.limit);
  const { extraVars } = flags;
  const closed = await readHostPlan(prepared, { inventory: paths, limit, cwd, secrets, extraVars });
  const { plays, hosts, groups } = secrets === undefined ? closed : await openPlan(closed, secrets);
  let passedOver: number;
  try {
    passedOver = (
      await preflight({
        ...{ plays, assets: prepared.assets, groups, check: false, guests: prepared.playbook.guests },
        extraVars: closed.extraVars,
      })
    ).size;
  } catch (thrown) {
    throw prepared.locate(thrown);
  }
  const checked = hosts.length - passedOver;
  const count = (hosts: number): string => (hosts === 1 ? "1 host" : `${hosts} hosts`);
  return [
    ...(checked > 0
      ? [
          isAnsiblePlaybook(prepared.name)
            ? `${count(checked)} selected`
            : `vars, actions and assets fit for ${count(checked)}`,
        ]
      : []),
    ...(passedOver > 0
      ? [`${count(passedOver)} passed over: secrets and templates in vars are known only in a run`]
      : []),
  ];
}

/** Make the store of secrets where the flags say how to open them. */
async function openSecrets(flags: SecretFlags, cwd: string): Promise<SecretStore | undefined> {
  const options = secretOptions(flags);
  if (Object.keys(options).length === 0) return undefined;
  const { createSecretStore } = await import("../vars/secrets/store.ts");
  return createSecretStore({ ...options, cwd, ask: askPassphrase });
}

function optionalInventory(flags: InventoryFlags, isAnsible: boolean): readonly string[] | undefined {
  try {
    return inventoriesOf(flags, inventoryPaths, isAnsible);
  } catch {
    return undefined;
  }
}

/** File, line and column in front of a problem that tsc reports. */
const DIAGNOSTIC = /\(\d+,\d+\): /;
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/**
 * Run the project's own TypeScript and return its problems; empty when there are none. Fails with `USAGE` when the
 * project has no TypeScript, or its tsconfig.json leaves the playbook out.
 */
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
        ...["--noEmit", "--strict", "--skipLibCheck", "--allowImportingTsExtensions"],
        ...["--module", "nodenext", "--target", "es2022"],
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
  // JavaScript is checked only where the project asks for it.
  if (/tsx?$/.test(file) && !lines.includes(file) && !lines.includes(realpathSync(file))) {
    throw new VolleyError(
      "USAGE",
      `tsconfig.json leaves ${relative(directory, file)} out: its types were not checked`,
      { hint: `add it to "include" there, or leave types out with --no-types` },
    );
  }
  return "";
}

interface BundleFlags extends InventoryFlags, ExtraVarsFlags, SecretFlags {
  readonly output: string;
  readonly withSecrets?: boolean;
  readonly sign?: string;
  readonly withRuntime?: boolean;
  readonly arch?: readonly RuntimeArch[];
}

/** Add `volley bundle`. */
export function addBundleCommand(program: Command): void {
  addSecretOptions(
    addExtraVarsOption(
      addInventoryOptions(
        program
          .command("bundle <playbook>")
          .summary("make a self-contained executable of a playbook")
          .description(
            "Write one file that carries out the playbook on any machine with Node 18 or newer, or, with --with-runtime, without Node: sh site.run --local HOST. With -i the file holds the vars of the inventory's hosts (of those in -l), in clear.",
          ),
        "none",
      ),
    ),
  )
    .option("--with-secrets", "let the bundle hold the secrets of its hosts, in clear")
    .addOption(signOption())
    .option(
      "--with-runtime",
      "let the bundle hold Node, for hosts that have none (about 40 MB for each --arch)",
    )
    .option(
      "--arch <names>",
      "architectures of --with-runtime, x64 or arm64, with commas between (default: x64)",
      parseArchs,
    )
    .requiredOption("-o, --output <file>", "file to write; - is standard output")
    .action(async (playbook: string, flags: BundleFlags) => {
      await makeBundle(playbook, flags);
    });
}

async function makeBundle(playbook: string, flags: BundleFlags): Promise<void> {
  if (flags.output === "-" && process.stdout.isTTY === true)
    throw new VolleyError("USAGE", "a bundle is not for a terminal", { hint: "name a file with -o" });
  const { carryBundle } = await import("../controller/prepare/carry.ts");
  const settings = await ansibleSettings([playbook]);
  // The settings' inventory is no wish to have its hosts in the bundle.
  const { inventory, withSecrets, sign, output, extraVars, withRuntime = false, arch } = flags;
  if (arch !== undefined && !withRuntime)
    throw new VolleyError("USAGE", "--arch says which Node --with-runtime puts into the bundle: give both");
  const limit = await expandLimit(flags.limit);
  const { id, bytes, hosts } = await carryBundle({
    playbook,
    cwd: process.cwd(),
    secrets: secretOptions(settleSources(flags, settings)),
    ask: askPassphrase,
    warn: printWarning,
    ...(extraVars === undefined ? {} : { extraVars }),
    ...(settings === undefined ? {} : { ansible: settings }),
    ...(withSecrets === undefined ? {} : { withSecrets }),
    ...(withRuntime ? { runtimes: arch ?? (["x64"] as const) } : {}),
    ...(sign === undefined ? {} : { signingKey: expandHome(sign) }),
    ...(inventory === undefined ? {} : { inventory }),
    ...(limit === undefined ? {} : { limit }),
  });
  // For the owner alone: the bundle may hold vars.
  writeOutput(output, bytes, { mode: 0o700, replacesMode: true });
  const size = `${(bytes.length / 1024).toFixed(1)} KiB, SHA-256 ${id}`;
  const whom =
    hosts.length === 0 ? "any host" : hosts.length > 5 ? `${hosts.length} hosts` : hosts.join(", ");
  const [told, name] =
    output === "-" ? [process.stderr, "FILE"] : ([process.stdout, basename(output)] as const);
  told.write(
    `${output}: ${size}\nRun it there: sh ${name} --local ${hosts[0] ?? "NAME"}   (made for ${whom})\n`,
  );
}
