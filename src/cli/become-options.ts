import { type Command, Option } from "commander";
import type { BecomeOptions } from "../controller/prepare/become.ts";
import type { BecomeMethod } from "../core/become.ts";
import { readGivenPassword } from "./given-password.ts";

/** Flags of commands whose hosts may ask for a password when another user is wanted. */
export interface BecomeFlags {
  readonly become?: boolean;
  readonly becomeUser?: string;
  readonly becomeMethod?: BecomeMethod;
  readonly askBecomePass?: boolean;
  readonly becomePasswordFile?: string;
}

/** Adds how another user is become; who, is among the options of every command that works on hosts. */
export function addBecomeOptions(command: Command): Command {
  return addBecomeMethodOption(addBecomePasswordOptions(command));
}

/** Adds how another user is become, for commands in which whoever types answers what asks for a password. */
export function addBecomeMethodOption(command: Command): Command {
  return command.addOption(
    new Option(
      "--become-method <method>",
      "how, where the inventory does not say (default: sudo); doas and su ask the host in their own ways",
    ).choices(["sudo", "doas", "su"]),
  );
}

/** Adds where the password for it comes from. */
export function addBecomePasswordOptions(command: Command): Command {
  return command
    .option("-K, --ask-become-pass", "ask for the password that sudo, doas or su wants, once for all hosts")
    .option(
      "--become-password-file <file>",
      "file that holds that password in its first line (or $VOLLEY_BECOME_PASSWORD)",
    );
}

/** What the flags say; asks for the password when told to. Fails with `USAGE`. */
export async function becomeOptions(flags: BecomeFlags): Promise<BecomeOptions> {
  const { become, becomeUser, becomeMethod } = flags;
  const wanted = becomeUser ?? become;
  const becomePassword = await readGivenPassword({
    name: "become password",
    question: "Become password",
    ask: flags.askBecomePass === true,
    file: flags.becomePasswordFile,
    variable: "VOLLEY_BECOME_PASSWORD",
    hint: "give it with --become-password-file or VOLLEY_BECOME_PASSWORD",
  });
  return {
    ...(wanted === undefined ? {} : { become: wanted }),
    ...(becomeMethod === undefined ? {} : { becomeMethod }),
    ...(becomePassword === undefined ? {} : { becomePassword }),
  };
}
