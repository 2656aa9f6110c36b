import type { Command } from "commander";

/** Adds `volley doc`. */
export function addDocCommand(program: Command): void {
  program
    .command("doc [action]")
    .summary("list the actions, or show one's parameters and examples")
    .action(async (action: string | undefined) => {
      const { documentAction, listActions } = await import("./reference.ts");
      process.stdout.write(action === undefined ? listActions() : documentAction(action));
    });
}
