import { Argument, type Command } from "commander";
import type { InventoryAction } from "./inventory.ts";
import { addInventoryOptions, type InventoryFlags, inventoryPaths } from "./options.ts";
import { expandLimit } from "./past-runs.ts";
import { addSecretOptions, type SecretFlags, secretOptions } from "./secret-options.ts";

/** Adds `volley inventory`. */
export function addInventoryCommand(program: Command): void {
  addSecretOptions(
    addInventoryOptions(
      program
        .command("inventory")
        .summary("show what was understood of the inventory")
        .description("Shows hosts, groups, and where each var came from.")
        .addArgument(new Argument("<action>", "what to show").choices(["list", "graph", "host"]))
        .argument("[pattern...]", "which hosts"),
    ),
  )
    .option("--json", "as JSON; of list, what ansible-inventory --list prints")
    .action(
      async (
        action: InventoryAction,
        patterns: readonly string[],
        flags: InventoryFlags & SecretFlags & { readonly json?: boolean },
      ) => {
        const [{ inventoryCommand }, { loadInventoryModule }, { createSecretStore }, { askPassphrase }] =
          await Promise.all([
            import("./inventory.ts"),
            import("../controller/prepare/read.ts"),
            import("../vars/secrets/store.ts"),
            import("./ask.ts"),
          ]);
        const limit = await expandLimit(flags.limit);
        process.exitCode = await inventoryCommand(
          action,
          await Promise.all(patterns.map(expandLimit)),
          {
            inventory: inventoryPaths(flags),
            ...(limit === undefined ? {} : { limit }),
            ...(flags.json === undefined ? {} : { json: flags.json }),
          },
          {
            stdout: (text) => process.stdout.write(text),
            stderr: (text) => process.stderr.write(text),
            color: process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "",
            cwd: process.cwd(),
            columns: process.stdout.columns ?? 80,
            loadModule: loadInventoryModule,
            secrets: createSecretStore({
              ...secretOptions(flags),
              cwd: process.cwd(),
              ask: askPassphrase,
            }),
          },
        );
      },
    );
}
