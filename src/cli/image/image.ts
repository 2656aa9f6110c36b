import type { Command } from "commander";
import { addCloudInitCommand } from "./cloud-init.ts";
import { addInstallCommand } from "./install.ts";
import { addPiCommand } from "./pi.ts";
import { addResultCommand } from "./result.ts";

/** Add `volley image`, with its subcommands. */
export function addImageCommand(program: Command): void {
  const image = program
    .command("image")
    .summary("let machines provision themselves at their first boot")
    .description(
      "Put a bundle and its start into the image of a machine, which provisions itself at its first boot, without a controller.",
    );
  addInstallCommand(image);
  addCloudInitCommand(image);
  addPiCommand(image);
  addResultCommand(image);
}
