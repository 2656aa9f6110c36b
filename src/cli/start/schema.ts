import { Argument, type Command } from "commander";
import type { JsonSchema } from "../../inventory/schema.ts";

const KINDS = ["inventory", "vars"] as const;
type Kind = (typeof KINDS)[number];

/** Add `volley schema`. */
export function addSchemaCommand(program: Command): void {
  program
    .command("schema")
    .summary("print a JSON Schema of inventories or vars files, for editors")
    .description(
      "Print a JSON Schema (draft 7) with which an editor completes and checks inventories in YAML, or files of group_vars and host_vars. With a playbook in TypeScript, it has the vars that the playbook's roles declare with valibot, too.",
    )
    .addArgument(new Argument("<kind>", "the files that it is for").choices(KINDS))
    .argument("[playbook]", "a playbook in TypeScript whose roles declare vars")
    .addHelpText(
      "after",
      `
Examples:
  volley schema inventory > .vscode/inventory.json
  volley schema vars site.ts > .vscode/vars.json

In VS Code with the YAML extension, .vscode/settings.json then says:
  "yaml.schemas": { ".vscode/inventory.json": "inventory/*.yaml", ".vscode/vars.json": ["**/group_vars/**", "**/host_vars/**"] },
  "yaml.customTags": ["!secret scalar", "!secret mapping", "!vault scalar", "!unsafe scalar"]
In other editors the first line of a file does: # yaml-language-server: $schema=../.vscode/inventory.json
`,
    )
    .action(async (kind: Kind, playbook: string | undefined) => {
      const { inventorySchema, varsSchema } = await import("../../inventory/schema.ts");
      const vars = playbook === undefined ? {} : await roleVars(playbook);
      const schema = kind === "inventory" ? inventorySchema(vars) : varsSchema(vars);
      process.stdout.write(`${JSON.stringify(schema, null, 2)}\n`);
    });
}

/** Return a schema of each var that roles of a playbook declare; values may be templates. */
async function roleVars(playbook: string): Promise<Readonly<Record<string, JsonSchema>>> {
  const [{ preparePlaybook }, { propertiesOf }, { TEMPLATE }] = await Promise.all([
    import("../../controller/prepare/read.ts"),
    import("../reference/json-schema.ts"),
    import("../../inventory/schema.ts"),
  ]);
  const { plays } = (await preparePlaybook(playbook, process.cwd())).playbook;
  const found = new Map<string, JsonSchema[]>();
  for (const role of new Set(plays.flatMap(({ roles }) => roles.map((use) => use.role)))) {
    const declared = role.vars;
    if (declared?.["~standard"].vendor !== "valibot") continue;
    for (const [name, schema] of Object.entries(
      propertiesOf(declared as Parameters<typeof propertiesOf>[0]),
    )) {
      const { description = "", ...rest } = schema as { readonly description?: string };
      const told = { description: `${description} (role ${role.name})`.trim(), ...rest };
      found.set(name, [...(found.get(name) ?? []), told]);
    }
  }
  return Object.fromEntries(
    [...found].map(([name, schemas]) => {
      const descriptions = schemas.map(({ description }) => description);
      // Roles that disagree on a var refuse it by themselves.
      return [name, { description: descriptions.join("\n"), anyOf: [...schemas, TEMPLATE] }];
    }),
  );
}
