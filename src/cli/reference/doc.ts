import { type Command, Option } from "commander";

/** Add `volley doc`. */
export function addDocCommand(program: Command): void {
  program
    .command("doc")
    .summary("list the actions, or show one's parameters and examples")
    .description("List the actions, or show one: its parameters with their types and defaults, and examples.")
    .argument("[action]", "its name, such as copy")
    .addOption(new Option("--markdown", "print the whole reference, as in REFERENCE.md").hideHelp())
    .action(async (action: string | undefined, { markdown }: { readonly markdown?: boolean }) => {
      if (markdown === true) {
        const { referenceMarkdown } = await import("./markdown.ts");
        process.stdout.write(referenceMarkdown());
        return;
      }
      const [{ documentAction, listActions }, { colorsWanted }] = await Promise.all([
        import("./terminal.ts"),
        import("../../reporter/reporter.ts"),
      ]);
      const options = {
        color: colorsWanted(process.stdout, process.env),
        columns: process.stdout.columns ?? 80,
      };
      process.stdout.write(action === undefined ? listActions(options) : documentAction(action, options));
    });
}
