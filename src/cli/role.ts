import { relative, resolve, sep } from "node:path";
import type { Command } from "commander";
import type { RoleSource } from "../convert/role-source.ts";

// The commands on a role in Ansible's YAML: `volley role to-ast` and `volley role to-ts`.

interface ToTsFlags {
  readonly output: string;
  readonly name?: string;
  readonly force?: boolean;
}

/** Add `volley role`, with its subcommands. */
export function addRoleCommand(program: Command): void {
  const role = program
    .command("role")
    .summary("print a role in Ansible's YAML as data, or write it in TypeScript")
    .description("Work on one role in Ansible's YAML, without a playbook and without a host.");
  role
    .command("to-ast <role>")
    .summary("print a role's tree as JSON")
    .description(
      "Print a role as Volley reads it: tasks, handlers, blocks and their keywords with file, line and column; defaults, vars, meta; the names of files and templates. The role is a directory, or a name that is looked for as in a playbook of this directory.",
    )
    .action(async (name: string) => {
      const [source, { writeRole }] = await Promise.all([load(name), import("../convert/role-source.ts")]);
      process.stdout.write(writeRole(source));
    });
  role
    .command("to-ts <role>")
    .summary("write a role in TypeScript that does the same")
    .description(
      "Write a role in Ansible's YAML as a role in TypeScript: a directory with role.ts, the functions of its tasks, its handlers and vars, and its files and templates as they are. A role that does what TypeScript has no word for is refused, with file and line.",
    )
    .requiredOption("-o, --output <directory>", "directory to write, such as roles/web")
    .option("--name <name>", "name of the role (default: the one it has)")
    .option("--force", "replace files in a directory that is there already")
    .action(async (name: string, flags: ToTsFlags) => {
      await toTs(name, flags);
    });
}

async function load(name: string): Promise<RoleSource> {
  const [{ readRole }, { readAnsibleSettings }] = await Promise.all([
    import("../convert/role-source.ts"),
    import("../ansible/config/settings.ts"),
  ]);
  const cwd = process.cwd();
  return readRole(name, cwd, readAnsibleSettings({ cwd }));
}

async function toTs(role: string, { output, name, force = false }: ToTsFlags): Promise<void> {
  const [source, { convertRole }, { writeConverted }] = await Promise.all([
    load(role),
    import("../convert/role-to-ts.ts"),
    import("../convert/write-role.ts"),
  ]);
  const converted = convertRole(source, name);
  const files = writeConverted(converted, source, output, force);
  for (const note of converted.notes) process.stderr.write(`volley: ${note}\n`);
  process.stdout.write(
    `${output}: ${files.length} files. Use it in a play: import ${importName(converted.name)} from "${importPath(output)}"\n`,
  );
}

/** The name of a role's last part, as a name in TypeScript. */
function importName(name: string): string {
  const [last = "role"] = name.split(/[^A-Za-z0-9]+/).slice(-1);
  return /^[A-Za-z]/.test(last) ? last : "role";
}

/** The path of a role in a directory, as a playbook of the working directory imports it. */
function importPath(output: string): string {
  const path = relative(process.cwd(), resolve(output)).split(sep).join("/");
  return `${path.startsWith(".") ? "" : "./"}${path}/role.ts`;
}
