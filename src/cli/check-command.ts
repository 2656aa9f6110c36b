import type { Command } from "commander";
import { addInventoryOptions, type InventoryFlags } from "./options.ts";

/** Adds `volley check`. */
export function addCheckCommand(program: Command): void {
  addInventoryOptions(
    program
      .command("check <playbook>")
      .summary("check a playbook without touching any host")
      .description(
        "Compiles a playbook, checks its types with the project's own TypeScript and, with an inventory, its roles' vars, actions and assets for every host.",
      ),
  )
    .option("--no-types", "leave the types out")
    .action(async (playbook: string, flags: InventoryFlags & { readonly types: boolean }) => {
      const { checkPlaybook } = await import("./check.ts");
      process.exitCode = await checkPlaybook(playbook, flags);
    });
}
