import { type Command, InvalidArgumentError, Option } from "commander";
import type { BecomeOptions, TransportsOptions } from "../controller/prepare/reach.ts";
import { VolleyError } from "../core/errors.ts";
import { MAX_TIMER_SECONDS } from "../core/options.ts";
import { PERSIST_TIMES, parsePersistTime } from "../core/unix/duration.ts";
import type { BecomeMethod } from "../core/unix/users.ts";
import { CONNECTION_KINDS } from "../inventory/containers.ts";
import { defaultInventory } from "../inventory/default.ts";
import { HOST_KEY_POLICIES, type HostKeyPolicy } from "../transport/transport.ts";
import type { SecretOptions } from "../vars/secrets/sources.ts";
import { askHostKeys, askPassphrase, expandHome, readGivenPassword } from "./terminal.ts";

// Options that several commands share. Every command line loads this file, so it imports nothing heavy.

/** Flags of every command that reads an inventory. */
export interface InventoryFlags {
  readonly inventory?: readonly string[];
  readonly limit?: string;
}

/** Add `-i` and `-l`; `without` names the default inventory in the help. */
export function addInventoryOptions(command: Command, without = "./inventory"): Command {
  return command
    .option(
      "-i, --inventory <path>",
      `inventory: a file, a directory, or 'host1,host2,' (default: ${without}); repeatable`,
      collect,
    )
    .option(
      "-l, --limit <pattern>",
      "work on these hosts only: web:&prod:!db, web[01:20], a glob, ~regex, @failed, @changed, a run, or - for names on stdin",
    );
}

/** The flag of every command that names its hosts before other words. */
export interface HostsFlags {
  readonly hosts?: string;
}

/** Add `-w`. */
export function addHostsOption(command: Command): Command {
  return command.option(
    "-w, --hosts <pattern>",
    "the hosts, in place of the first word",
    (value: string, before: string | undefined) => {
      if (before === undefined) return value;
      throw new InvalidArgumentError("It is given twice: put commas between names.");
    },
  );
}

/**
 * Return the hosts and the words that follow: `--hosts`, else the first word. Fails with `USAGE` when there is none;
 * `example` is a whole command.
 */
export function takeHosts(
  words: readonly string[],
  { hosts }: HostsFlags,
  example: string,
): { readonly hosts: string; readonly rest: readonly string[] } {
  const [first, ...rest] = words;
  if (hosts !== undefined) return { hosts, rest: words };
  if (first === undefined) throw new VolleyError("USAGE", "which hosts?", { hint: `write: ${example}` });
  return { hosts: first, rest };
}

/** Return the hosts of a command that takes no other words: the operand or `--hosts`. Fails with `USAGE` for both. */
export function eitherHosts(operand: string | undefined, { hosts }: HostsFlags): string | undefined {
  if (operand !== undefined && hosts !== undefined)
    throw new VolleyError("USAGE", "the hosts are named twice", { hint: "leave out -w, or the word" });
  return hosts ?? operand;
}

/** Add `-e`. */
export function addExtraVarsOption(command: Command): Command {
  return command.option(
    "-e, --extra-vars <vars>",
    "vars over all others: k=v, JSON, YAML or @file; repeatable",
    collect,
  );
}

/** Flags of commands that take extra vars. */
export interface ExtraVarsFlags {
  readonly extraVars?: readonly string[];
}

/** Return the inventories to read: those given, `$VOLLEY_INVENTORY`, or `./inventory`. Fails with `INVENTORY_MISSING`. */
export function inventoryPaths({ inventory }: InventoryFlags): readonly string[] {
  if (inventory !== undefined) return inventory;
  const found = defaultInventory(".");
  if (found !== undefined) return [found];
  throw new VolleyError("INVENTORY_MISSING", "there is no inventory here", {
    hint: "name one with -i: a file, a directory, or host names with a comma: -i 'web1,web2,'",
  });
}

/** Flags of every command that works on hosts. */
export interface ConnectionFlags extends ReachFlags {
  readonly forks: number;
  readonly become?: boolean;
  readonly becomeUser?: string;
}

/** Add the options of every command that works on hosts. */
export function addConnectionOptions(command: Command): Command {
  const reaching = addReachOptions(command)
    .option("-b, --become", "become root, with sudo unless another method is set")
    .option("--become-user <name>", "become this user instead of root");
  return addPersistOptions(
    reaching,
    "volley_persist, else ssh_config's ControlPersist with ControlMaster",
  ).option("-f, --forks <number>", "hosts to work on at a time", positiveInteger, 50);
}

/** The flag of commands that work on containers, too. */
export interface KindFlags {
  readonly connection?: string;
}

/** Add `-c`. */
export function addKindOption(command: Command): Command {
  return command.addOption(kindOption());
}

/** Make `-c`. Completion offers its choices; the inventory takes the names of Ansible's plugins, too, and refuses others. */
export function kindOption(): Option {
  const option = new Option("-c, --connection <kind>", "connection of hosts whose inventory names none");
  option.argChoices = [...CONNECTION_KINDS];
  return option;
}

/** Add `--persist` and `--no-persist`; `standard` tells of the default in the help. */
export function addPersistOptions(command: Command, standard: string): Command {
  return command
    .option(
      "--persist <time>",
      `keep connections for the next command, for so long after their last use: 10m, 2h, seconds (default: ${standard})`,
      persistTime,
    )
    .option("--no-persist", "keep no connections, and use none that are kept");
}

/** Flags about reaching hosts. */
export interface ReachFlags extends PersistFlags {
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

/** The flags of {@link addPersistOptions}. */
export interface PersistFlags {
  /** Milliseconds; false: none. */
  readonly persist?: number | false;
}

/** Add the options about reaching hosts. */
export function addReachOptions(command: Command): Command {
  return command
    .option("-u, --user <name>", "login user where the inventory names none")
    .option("--private-key <file>", "private key where the inventory names none")
    .option("-k, --ask-pass", "ask for the login password, once for all hosts")
    .option("--password-file <file>", "read the login password from this file (or $VOLLEY_SSH_PASSWORD)")
    .addOption(
      new Option("--password-fd <number>", "read the login password from this file descriptor").argParser(
        wholeNumber,
      ),
    )
    .option("-A, --forward-agent", "let the hosts use this machine's SSH agent")
    .addOption(
      new Option(
        "--host-keys <policy>",
        "how to treat an unknown host key (default: ssh_config's setting; else ask where a person can answer, strict elsewhere)",
      ).choices(HOST_KEY_POLICIES),
    )
    .option("--known-hosts <file>", "known_hosts file to use instead of ssh's own; repeatable", collectPaths)
    .option(
      "--ssh-config <file>",
      "read this file instead of ~/.ssh/config and /etc/ssh/ssh_config; none: read none",
    )
    .addOption(
      new Option(
        "--transport <kind>",
        "auto: use OpenSSH's ssh only for hosts whose settings ssh2 does not support",
      )
        .choices(["auto", "ssh2", "openssh"])
        .default("auto"),
    )
    .option(
      "--connect-timeout <seconds>",
      "time limit to connect, and again to log in (default: 15)",
      seconds,
    )
    .addOption(
      new Option(
        "--connect-retries <number>",
        "times to try again when a host refuses the connection (default: 2)",
      ).argParser(wholeNumber),
    );
}

/** Turn the flags into options of the controller; ask for the login password on `--ask-pass`. Fails with `USAGE`. */
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
  return {
    transport,
    ...(process.stdin.isTTY === true ? { askPassphrase, askHostKeys } : {}),
    ...(user === undefined ? {} : { user }),
    ...(privateKey === undefined ? {} : { privateKeyFile: expandHome(privateKey) }),
    ...(hostKeys === undefined ? {} : { hostKeys }),
    ...(knownHosts === undefined ? {} : { knownHostsFiles: knownHosts }),
    ...(connectTimeout === undefined ? {} : { connectTimeoutMs: connectTimeout * 1_000 }),
    ...(connectRetries === undefined ? {} : { connectRetries }),
    ...(sshConfig === undefined ? {} : { sshConfig: expandHome(sshConfig) }),
    ...(flags.forwardAgent === undefined ? {} : { forwardAgent: flags.forwardAgent }),
    ...(password === undefined ? {} : { password }),
    ...(await persistOption(flags)),
  };
}

/** Choose whether connections are kept. The background process is started at once where an option asks for one. */
export async function persistOption({ persist }: PersistFlags): Promise<Pick<TransportsOptions, "persist">> {
  // A comparison measures connections of its own, through proxies.
  if (persist === false || process.env.VOLLEY_ROUTES !== undefined) return {};
  const { chooseBackground } = await import("./persist/place.ts");
  return { persist: chooseBackground(persist) };
}

/** Flags of commands whose hosts may need a password to become another user. */
export interface BecomeFlags {
  readonly become?: boolean;
  readonly becomeUser?: string;
  readonly becomeMethod?: BecomeMethod;
  readonly askBecomePass?: boolean;
  readonly becomePasswordFile?: string;
}

/** Add the become method and password; the user to become is an option of {@link addConnectionOptions}. */
export function addBecomeOptions(command: Command): Command {
  return addBecomeMethodOption(addBecomePasswordOptions(command));
}

/** Add the become method alone, for commands in which the user types the password on the host's own terminal. */
export function addBecomeMethodOption(command: Command): Command {
  return command.addOption(
    new Option(
      "--become-method <method>",
      "method to become another user, where the inventory sets none (default: sudo)",
    ).choices(["sudo", "doas", "su"]),
  );
}

/** Add the sources of the become password. */
export function addBecomePasswordOptions(command: Command): Command {
  return command
    .option("-K, --ask-become-pass", "ask for the password of sudo, doas or su, once for all hosts")
    .option(
      "--become-password-file <file>",
      "read that password from the first line of this file (or $VOLLEY_BECOME_PASSWORD)",
    );
}

/**
 * Turn the flags into options of the controller; ask for the become password on `--ask-become-pass`, where the login
 * password stands for an empty answer. Fails with `USAGE`.
 */
export async function becomeOptions(flags: BecomeFlags, login?: string): Promise<BecomeOptions> {
  const { become, becomeUser, becomeMethod } = flags;
  const wanted = becomeUser ?? become;
  const becomePassword = await readGivenPassword({
    name: "become password",
    question: login === undefined ? "Become password" : "Become password (default: the SSH password)",
    ...(login === undefined ? {} : { standard: login }),
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

/** Flags of every command that may need secrets. */
export interface SecretFlags {
  readonly vaultPasswordFile?: readonly string[];
  readonly vaultId?: readonly string[];
  readonly askVaultPass?: boolean;
  readonly ageIdentity?: readonly string[];
}

/** Add the keys to encrypted files and values. */
export function addSecretOptions(command: Command): Command {
  return command
    .option(
      "--vault-password-file <file>",
      "Ansible Vault password: a file, or a program that prints it (also $ANSIBLE_VAULT_PASSWORD_FILE); repeatable",
      collect,
    )
    .option(
      "--vault-id <label@source>",
      "Ansible Vault password of an id; the source is prompt, a file or a program; repeatable",
      collect,
    )
    .option("--ask-vault-pass", "ask for the Ansible Vault password")
    .option(
      "--age-identity <file>",
      "age identity for *.age files (default: $VOLLEY_AGE_IDENTITY, $SOPS_AGE_KEY_FILE, ~/.config/volley/age.key); repeatable",
      collect,
    );
}

/** Turn the flags into options of the controller. */
export function secretOptions(flags: SecretFlags): SecretOptions {
  const { vaultPasswordFile, vaultId, askVaultPass, ageIdentity } = flags;
  return {
    ...(vaultPasswordFile === undefined ? {} : { vaultPasswordFiles: vaultPasswordFile }),
    ...(vaultId === undefined ? {} : { vaultIds: vaultId }),
    ...(askVaultPass === undefined ? {} : { askVaultPassword: askVaultPass }),
    ...(ageIdentity === undefined ? {} : { ageIdentityFiles: ageIdentity }),
  };
}

/** Parse a whole number of at least 1. */
export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError("It must be a whole number of 1 or more.");
  return value;
}

/** Parse a whole number of at least 0. */
export function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

/** Parse a number of seconds above 0, for a time limit. */
export function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("It must be a number of seconds above 0.");
  if (value > MAX_TIMER_SECONDS) throw new InvalidArgumentError(`It must be ${MAX_TIMER_SECONDS} at most.`);
  return value;
}

/** Parse a whole number of seconds of at least 1, for a time limit. */
export function wholeSeconds(text: string): number {
  return seconds(String(positiveInteger(text)));
}

/** Parse a time to keep connections for, in milliseconds. */
export function persistTime(text: string): number {
  const ms = parsePersistTime(text);
  if (ms === undefined) throw new InvalidArgumentError(`It must be ${PERSIST_TIMES}.`);
  return ms;
}

/** Gather the values of a repeatable option. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/** Gather paths whose `~` the shell has left. */
export function collectPaths(value: string, before: readonly string[] | undefined): readonly string[] {
  return collect(expandHome(value), before);
}

/** Split `a,b`, given once or several times. */
export function splitList(values: readonly string[] | undefined): readonly string[] {
  return (values ?? [])
    .flatMap((value) => value.split(","))
    .map((value) => value.trim())
    .filter((value) => value !== "");
}

/** Flags of commands that work on the hosts that they name. */
export interface WorkFlags
  extends InventoryFlags,
    HostsFlags,
    ConnectionFlags,
    KindFlags,
    BecomeFlags,
    SecretFlags {}

/** Add the options of commands that work on the hosts that they name. */
export function addWorkOptions(command: Command): Command {
  return addSecretOptions(
    addBecomeOptions(addKindOption(addConnectionOptions(addHostsOption(addInventoryOptions(command))))),
  );
}
