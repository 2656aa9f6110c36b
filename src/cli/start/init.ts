import { existsSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative, resolve } from "node:path";
import type { Command } from "commander";
import type { AnsibleSettings } from "../../ansible/config/settings.ts";
import { describeError, VolleyError } from "../../core/errors.ts";
import { quote } from "../../core/unix/shell.ts";
import { safeErrorLines } from "../../reporter/rows/sanitize.ts";
import { checkPlaybook } from "../playbook.ts";
import {
  compareProject,
  manifestAdvice,
  manifestText,
  type ProjectFiles,
  type Step,
  starterFiles,
  writeProject,
} from "./project.ts";

interface InitFlags {
  readonly fromAnsible?: string;
}

/** Add `volley init`. */
export function addInitCommand(program: Command): void {
  program
    .command("init")
    .summary("begin a project: inventory, role, playbook")
    .description(
      "Write the files of a small project: an inventory, a role with a template, a playbook, tsconfig.json and package.json. Then check the playbook, and say what to do next. Asks nothing and replaces no file: where one of these files is there with another content, nothing is written. A package.json and a .gitignore that are there stay as they are.",
    )
    .argument("[directory]", "directory of the project, made where it is missing (default: this one)")
    .option(
      "--from-ansible <directory>",
      "begin in a project of Ansible's, beside its inventory and roles: write a playbook in TypeScript that gives the roles to the hosts of its playbooks, tsconfig.json and package.json",
    )
    .action(async (directory: string | undefined, { fromAnsible }: InitFlags) => {
      if (fromAnsible === undefined) process.exitCode = await initProject(directory ?? ".");
      else if (directory === undefined || resolve(directory) === resolve(fromAnsible))
        process.exitCode = await initFromAnsible(fromAnsible);
      else
        throw new VolleyError("USAGE", "--from-ansible writes into the directory that it names", {
          hint: `leave ${directory} out, or copy the project there first`,
        });
    });
}

const INVENTORY = "inventory/fleet.yaml";
const PLAYBOOK = "site.ts";

/** Write the quick start's files, check them, and tell the next steps. Returns the exit code of the check. */
async function initProject(shown: string): Promise<number> {
  const directory = resolve(shown);
  const advice = writeFiles(shown, starterFiles());
  const code = await tellCheck(directory, ["inventory"]);
  tellNext([
    ...(directory === process.cwd() ? [] : [[`cd ${quote(shown)}`, ""] as const]),
    ...advice,
    [`edit ${INVENTORY}`, "your hosts, and the user to log in as"],
    ["npx volley check site.ts", "types, vars, parameters, missing files; touches no host"],
    ["npx volley hosts trust", "learn the keys of hosts that your ssh has not met"],
    ["npx volley run site.ts --check --diff", "preview the changes on the hosts"],
    ["npx volley run site.ts", "carry them out"],
  ]);
  return code;
}

/** Write a playbook for the roles of a project of Ansible's. Returns the exit code of the check. */
async function initFromAnsible(shown: string): Promise<number> {
  const directory = resolve(shown);
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new VolleyError("USAGE", `there is no directory ${shown}`);
  const [{ targetsOf }, { convertPlaybooks }, { readAnsibleSettings }] = await Promise.all([
    import("../../lint/targets.ts"),
    import("../../convert/playbooks-to-ts.ts"),
    import("../../ansible/config/settings.ts"),
  ]);
  const settings = readAnsibleSettings({ cwd: directory });
  const playbooks = targetsOf(directory, shown).flatMap((target) =>
    target.kind === "playbook" ? [target.file] : [],
  );
  const nameOf = (file: string): string => relative(directory, file);
  const { text, plays, leftOut } = convertPlaybooks(playbooks, nameOf);
  const { "tsconfig.json": tsconfig = "" } = starterFiles();
  const advice = writeFiles(shown, {
    "tsconfig.json": tsconfig,
    ...(text === undefined ? {} : { [PLAYBOOK]: text }),
  });
  if (text !== undefined)
    tell(`${PLAYBOOK} has ${plays === 1 ? "1 play" : `${plays} plays`} of the playbooks.`);
  for (const play of leftOut) tell(`left in YAML: ${play}`);
  const inventories = inventoriesIn(directory, settings);
  const code = text === undefined ? 0 : await tellCheck(directory, inventories, settings);
  await tellLint(directory, settings);
  const given = inventories.map((path) => ` -i ${quote(path)}`).join("");
  const [first] = playbooks.map(nameOf);
  tellNext([
    ...(directory === process.cwd() ? [] : [[`cd ${quote(shown)}`, ""] as const]),
    ...advice,
    ...(first === undefined
      ? []
      : [[`npx volley run ${quote(first)}${given} --check --diff`, "a playbook in YAML, as it is"] as const]),
    ...(text === undefined
      ? []
      : [[`npx volley run ${PLAYBOOK}${given} --check --diff`, "the same roles, from TypeScript"] as const]),
    ["npx volley role to-ts --help", "a role in TypeScript, made of one in YAML"],
  ]);
  return code;
}

/**
 * Write a project's files, with `package.json` and `.gitignore` where they are missing. Returns what npm is to do. Fails
 * with `USAGE`, and writes nothing, where another file of these names is there.
 */
function writeFiles(shown: string, files: ProjectFiles): readonly Step[] {
  const directory = resolve(shown);
  const optional = { "package.json": manifestText(directory), ".gitignore": "node_modules/\n" };
  const { different, missing } = compareProject(directory, files);
  if (different.length > 0)
    throw new VolleyError(
      "USAGE",
      `nothing was written: ${different.join(", ")} ${different.length === 1 ? "is" : "are"} there already in ${shown}`,
      { hint: "name another directory, or move these files away" },
    );
  const isNew = (name: string): boolean => compareProject(directory, { [name]: "" }).missing.length > 0;
  const brought = Object.entries(optional).filter(([name]) => isNew(name));
  const written = {
    ...Object.fromEntries(brought),
    ...Object.fromEntries(missing.map((name) => [name, files[name]!])),
  };
  writeProject(directory, written);
  const names = Object.keys(written);
  tell(
    names.length === 0 ? `${shown}: all files are there already.` : `${shown}: wrote ${names.join(", ")}.`,
  );
  const advice = manifestAdvice(directory);
  return advice.length > 0 || hasTypes(directory)
    ? advice
    : [["npm install", "Volley, and the types for editor and check"]];
}

/** Check the project's playbook as `volley check` does; an error is told, because the files are there. Returns the exit code. */
async function tellCheck(
  directory: string,
  inventory: readonly string[],
  settings?: AnsibleSettings,
): Promise<number> {
  const types = hasTypes(directory);
  try {
    const code = await checkPlaybook(
      PLAYBOOK,
      { types, ...(inventory.length === 0 ? {} : { inventory }) },
      { cwd: directory, ...(settings === undefined ? {} : { settings }) },
    );
    if (!types) tell("Types are checked once npm has installed the packages.");
    return code;
  } catch (thrown) {
    process.stderr.write(`volley: check: ${safeErrorLines(describeError(thrown)).join("\n")}\n`);
    return 1;
  }
}

/** True where the packages that types need are installed. */
function hasTypes(directory: string): boolean {
  const require = createRequire(join(directory, PLAYBOOK));
  try {
    for (const name of ["typescript", "@types/node", "volley"]) require.resolve(`${name}/package.json`);
    return true;
  } catch {
    return false;
  }
}

async function tellLint(directory: string, settings: AnsibleSettings): Promise<void> {
  const [{ lint }, { countOf }] = await Promise.all([
    import("../../lint/index.ts"),
    import("../../lint/report.ts"),
  ]);
  const { findings, files } = await lint(["."], { cwd: directory, settings });
  const { error, warning } = countOf(findings);
  tell(
    error + warning === 0
      ? `volley lint finds nothing wrong in ${files} files.`
      : `volley lint finds ${error} errors and ${warning} warnings in ${files} files: npx volley lint . lists them.`,
  );
}

/** Names of inventories in projects of Ansible's, the likeliest first. */
const INVENTORIES = ["inventory", "hosts"].flatMap((name) =>
  ["", ".yml", ".yaml", ".ini"].map((extension) => `${name}${extension}`),
);

/** Return the inventories of a project: those of its ansible.cfg, else what has the name of one; paths begin at the project. */
function inventoriesIn(directory: string, { inventory, file }: AnsibleSettings): readonly string[] {
  const isOwn = file !== undefined && resolve(file) === join(directory, "ansible.cfg");
  if (inventory !== undefined && isOwn)
    return inventory.value.map((path) => (path.startsWith("/") ? relative(directory, path) || "." : path));
  const found = INVENTORIES.find((name) => existsSync(join(directory, name)));
  if (found !== undefined) return [found];
  const several = join(directory, "inventories");
  const names = existsSync(several) && statSync(several).isDirectory() ? readdirSync(several).sort() : [];
  const first = names.find((name) => name === "production") ?? names[0];
  return first === undefined ? [] : [join("inventories", first)];
}

function tellNext(steps: readonly Step[]): void {
  const width = Math.max(...steps.map(([command]) => command.length));
  tell("\nNext:");
  for (const [command, purpose] of steps)
    tell(`  ${purpose === "" ? command : `${command.padEnd(width)}  # ${purpose}`}`);
}

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}
