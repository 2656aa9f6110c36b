import type { Command } from "commander";

// The commands on a role in Ansible's YAML: `volley role to-ast`.

/** Add `volley role`, with its subcommands. */
export function addRoleCommand(program: Command): void {
  const role = program
    .command("role")
    .summary("print a role in Ansible's YAML as data")
    .description("Work on one role in Ansible's YAML, without a playbook and without a host.");
  role
    .command("to-ast <role>")
    .summary("print a role's tree as JSON")
    .description(
      "Print a role as Volley reads it: tasks, handlers, blocks and their keywords with file, line and column; defaults, vars, meta; the names of files and templates. The role is a directory, or a name that is looked for as in a playbook of this directory.",
    )
    .action(async (name: string) => {
      const [{ readRole, writeRole }, { readAnsibleSettings }] = await Promise.all([
        import("../convert/role-source.ts"),
        import("../ansible/config/settings.ts"),
      ]);
      const cwd = process.cwd();
      process.stdout.write(writeRole(readRole(name, cwd, readAnsibleSettings({ cwd }))));
    });
}
