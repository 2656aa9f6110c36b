import { type Command, InvalidArgumentError, Option } from "commander";
import type { TransportsOptions } from "../controller/prepare/reach.ts";
import { HOST_KEY_POLICIES, type HostKeyPolicy } from "../transport/transport.ts";
import { expandHome, readGivenPassword } from "./given-password.ts";

/** Flags that say how hosts are reached. */
export interface ReachFlags {
  readonly user?: string;
  readonly privateKey?: string;
  readonly hostKeys?: HostKeyPolicy;
  readonly knownHosts?: readonly string[];
  readonly connectTimeout?: number;
  readonly connectRetries?: number;
  readonly sshConfig?: string;
  readonly transport: "auto" | "ssh2" | "openssh";
  readonly forwardAgent?: boolean;
  readonly askPass?: boolean;
  readonly passwordFile?: string;
  readonly passwordFd?: number;
}

/** Adds them. */
export function addReachOptions(command: Command): Command {
  return command
    .option("-u, --user <name>", "login user where the inventory names none")
    .option("--private-key <file>", "private key where the inventory names none")
    .option("-k, --ask-pass", "ask for the login password, once for all hosts")
    .option("--password-file <file>", "file that holds the login password (or $VOLLEY_SSH_PASSWORD)")
    .addOption(new Option("--password-fd <number>", "file descriptor to read it from").argParser(wholeNumber))
    .option("-A, --forward-agent", "let the hosts use this machine's SSH agent")
    .addOption(
      new Option(
        "--host-keys <policy>",
        "what to do with a host key that is not known (default: what ssh_config says; else ask at a terminal, strict elsewhere)",
      ).choices(HOST_KEY_POLICIES),
    )
    .option("--known-hosts <file>", "known_hosts file to use instead of ssh's own; repeatable", collectPaths)
    .option("--ssh-config <file>", "instead of ~/.ssh/config and /etc/ssh/ssh_config; none: none")
    .addOption(
      new Option("--transport <kind>", "auto: OpenSSH's ssh only for hosts that ask for what ssh2 cannot do")
        .choices(["auto", "ssh2", "openssh"])
        .default("auto"),
    )
    .option("--connect-timeout <seconds>", "time to connect, and again to log in (default: 15)", seconds)
    .addOption(
      new Option(
        "--connect-retries <number>",
        "how often to try again when a host refuses the connection (default: 2)",
      ).argParser(wholeNumber),
    );
}

/** What the flags ask for; asks for the password when told to. Fails with `USAGE`. */
export async function reachOptions(flags: ReachFlags): Promise<TransportsOptions> {
  const { user, privateKey, hostKeys, knownHosts, connectTimeout, connectRetries, sshConfig, transport } =
    flags;
  const password = await readGivenPassword({
    name: "password",
    question: "SSH password",
    ask: flags.askPass === true,
    file: flags.passwordFile ?? flags.passwordFd,
    variable: "VOLLEY_SSH_PASSWORD",
    hint: "give it with --password-file, --password-fd or VOLLEY_SSH_PASSWORD",
  });
  const isInteractive = process.stdin.isTTY === true;
  const { askPassphrase } = await import("./ask.ts");
  const { askHostKeys } = await import("./ask-host-keys.ts");
  return {
    transport,
    ...(isInteractive ? { askPassphrase, askHostKeys } : {}),
    ...(user === undefined ? {} : { user }),
    ...(privateKey === undefined ? {} : { privateKeyFile: expandHome(privateKey) }),
    ...(hostKeys === undefined ? {} : { hostKeys }),
    ...(knownHosts === undefined ? {} : { knownHostsFiles: knownHosts }),
    ...(connectTimeout === undefined ? {} : { connectTimeoutMs: connectTimeout * 1_000 }),
    ...(connectRetries === undefined ? {} : { connectRetries }),
    ...(sshConfig === undefined ? {} : { sshConfig: expandHome(sshConfig) }),
    ...(flags.forwardAgent === undefined ? {} : { forwardAgent: flags.forwardAgent }),
    ...(password === undefined ? {} : { password }),
  };
}

function collectPaths(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), expandHome(value)];
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

/** A number of seconds above 0. */
export function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("It must be a number of seconds above 0.");
  return value;
}
