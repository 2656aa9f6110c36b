import type { Command } from "commander";
import { addTransferOptions, type TransferFlags } from "./transfer/options.ts";

/** Adds `volley get`. */
export function addGetCommand(program: Command): void {
  const command = program
    .command("get <hosts> <paths...>")
    .summary("fetch files and directories from many hosts at a time")
    .description(
      "Fetches files and trees from every host over SFTP, into a directory for each host below the last path: DEST/HOST/… Hosts come first, as with exec.\n\n" +
        "What is the same here is not fetched again. What is fetched goes to a temporary name, is verified and then renamed; what was cut goes on where it stopped.",
    )
    .usage("[options] <hosts> <source...> <destination>");
  addTransferOptions(command)
    .option("--follow", "fetch what links lead to, not links")
    .addHelpText(
      "after",
      `
Examples:
  volley get web /etc/hostname names        names/web01/hostname, names/web02/hostname, …
  volley get web /var/log/nginx/ logs        logs/web01/access.log, …
  volley get -b 'web[01-17,19]' /etc/ssl etc  as root

A source that ends in a slash stands for what is in it. Nothing is written outside DEST/HOST, whatever a host says: links that lead out of it are skipped, names with control characters are refused.
Exit codes: 0 all ok, 1 usage or set-up (nothing was fetched), 2 some host or file failed, 4 some host unreachable or lost, 130 cancelled.
`,
    )
    .action(async (hosts: string, paths: readonly string[], flags: TransferFlags) => {
      const { get } = await import("./transfer/get.ts");
      process.exitCode = await get(hosts, paths, flags);
    });
}
