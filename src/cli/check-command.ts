import type { Command } from "commander";
import { addInventoryOptions, type InventoryFlags } from "./options.ts";
import { addSecretOptions, type SecretFlags } from "./secret-options.ts";

/** Adds `volley check`. */
export function addCheckCommand(program: Command): void {
  const command = program
    .command("check <playbook>")
    .summary("check a playbook without touching any host")
    .description(
      "Compiles a playbook, checks its types with the project's own TypeScript and, with an inventory, its roles' vars, actions and assets for every host. Secrets are asked for only where a flag says how to open them; other hosts that have some are passed over.",
    );
  addSecretOptions(addInventoryOptions(command))
    .option("--no-types", "leave the types out")
    .action(async (playbook: string, flags: InventoryFlags & SecretFlags & { readonly types: boolean }) => {
      const { checkPlaybook } = await import("./check.ts");
      process.exitCode = await checkPlaybook(playbook, flags);
    });
}
