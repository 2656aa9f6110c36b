import type { Command } from "commander";
import { addTransferOptions, type TransferFlags } from "./transfer/options.ts";

/** Adds `volley put`. */
export function addPutCommand(program: Command): void {
  const command = program
    .command("put <hosts> <paths...>")
    .summary("send files and directories to many hosts at a time")
    .description(
      "Sends files and trees to every host over SFTP. Hosts come first, as with exec: a pattern, names, web[01-17,19], or - for names on stdin. The last path is where they go on the hosts.\n\n" +
        "What is the same there is not sent again. What is sent goes to a temporary name, is verified and then renamed; what was cut goes on where it stopped when it is put once more.",
    )
    .usage("[options] <hosts> <source...> <destination>");
  addTransferOptions(command)
    .option("--follow", "send what links lead to, not links")
    .addHelpText(
      "after",
      `
Examples:
  volley put web app.conf /etc/app/          into the directory
  volley put 'web[01-17,19]' ./dist /srv/app  what is in dist is then in /srv/app
  volley put -bp web ./dist /srv/             as root, with modes and times, to /srv/dist

A destination that ends in a slash is a directory, and so it is for several sources; a source that ends in one stands for what is in it. Relative destinations are below the home; ~/ is the home, and ~user/ that user's. A link at the destination is replaced.
Exit codes: 0 all ok, 1 usage or set-up (nothing was sent), 2 some host or file failed, 4 some host unreachable or lost, 130 cancelled.
`,
    )
    .action(async (hosts: string, paths: readonly string[], flags: TransferFlags) => {
      const { put } = await import("./transfer/put.ts");
      process.exitCode = await put(hosts, paths, flags);
    });
}
