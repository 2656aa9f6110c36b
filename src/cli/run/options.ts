import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { AnsibleSettings } from "../../ansible/config/settings.ts";
import { volleyVersion } from "../../bundle/this-package.ts";
import type { BecomeOptions } from "../../controller/prepare/reach.ts";
import type { Via } from "../../controller/session/state.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReporterKind } from "../../reporter/kinds.ts";
import { HOST_KEY_POLICIES } from "../../transport/transport.ts";
import { FittingOption, leaveMisfits } from "../completion/flags.ts";
import {
  type BecomeFlags,
  becomeOptions,
  type ConnectionFlags,
  collect,
  collectPaths,
  type InventoryFlags,
  type KindFlags,
  kindOption,
  persistTime,
  positiveInteger,
  type SecretFlags,
  seconds,
  splitList,
  wholeNumber,
} from "../options.ts";
import { queueAccessOptions } from "../queue/options.ts";
import { addPatienceOptions, type RunQueueFlags } from "../queue/run-queue.ts";
import { expandHome, outputOption } from "../terminal.ts";
import { type WebFlags, webOption } from "./web.ts";

// The options of `volley run`, under the names that ansible-playbook has for them, and the settings of ansible.cfg that
// stand in for those not given.

/** The flags of `volley run`. */
export interface RunFlags
  extends InventoryFlags,
    Omit<ConnectionFlags, "forks">,
    BecomeFlags,
    SecretFlags,
    KindFlags,
    RunQueueFlags,
    WebFlags {
  readonly forks?: number;
  readonly extraVars?: readonly string[];
  readonly check?: boolean;
  readonly diff?: boolean;
  readonly tags?: readonly string[];
  readonly skipTags?: readonly string[];
  readonly startAtTask?: string;
  readonly step?: boolean;
  readonly forceHandlers?: boolean;
  readonly flushCache?: boolean;
  readonly local?: boolean;
  readonly listHosts?: boolean;
  readonly listTasks?: boolean;
  readonly listTags?: boolean;
  readonly syntaxCheck?: boolean;
  readonly sshCommonArgs?: string;
  readonly sshExtraArgs?: string;
  readonly sftpExtraArgs?: string;
  readonly scpExtraArgs?: string;
  readonly modulePath?: readonly string[];
  readonly output: ReporterKind;
  readonly verbose?: number;
  readonly resume?: string | true;
  readonly hostTimeout?: number;
  readonly seed?: string;
  readonly via: Via;
  readonly runtime: boolean;
  readonly timing?: boolean;
}

/** An option whose value has a name of its own. */
class NamedOption extends Option {
  readonly #name: string;

  constructor(flags: string, description: string, name: string) {
    super(flags, description);
    this.#name = name;
  }

  override attributeName(): string {
    return this.#name;
  }
}

type ParseOption = (value: string, before: never) => unknown;

const DEFAULT_FORKS = 50;

/** Add the options of `volley run`, in groups. */
export function addRunOptions(command: Command): Command {
  let group = "";
  const put = (option: Option, parse?: ParseOption): Option => {
    option.helpGroup(group);
    if (parse !== undefined) option.argParser(parse as (value: string, before: unknown) => unknown);
    command.addOption(option);
    return option;
  };
  const add = (flags: string, description: string, parse?: ParseOption): Option =>
    put(new Option(flags, description), parse);
  /** Other names of an option, which the help does not show. */
  const alias = (flags: string, of: string, parse?: ParseOption): Option =>
    put(new NamedOption(flags, "", of).hideHelp(), parse);

  group = "Hosts and vars:";
  add("-i, --inventory <path>", "inventory: a file, a directory, or 'host1,host2,'; repeatable", collect);
  alias("--inventory-file <path>", "inventory", collect);
  add("-l, --limit <pattern>", "these hosts only: a pattern, @file, @failed, @changed, a run, - for stdin");
  add("--local", "work on this machine alone: -l says which host it is; carries out bundles, too");
  add("-e, --extra-vars <vars>", "vars over all others: k=v, JSON, YAML or @file; repeatable", collect);
  add("-f, --forks <number>", `hosts to work on at a time (default: ${DEFAULT_FORKS})`, positiveInteger);

  group = "Tasks:";
  add("-C, --check", "change nothing, show what would change");
  add("-D, --diff", "show what changes inside files");
  add("-t, --tags <tags>", "run only tasks with one of these tags, a,b; repeatable", tagsToRun);
  add("--skip-tags <tags>", "skip tasks with one of these tags; repeatable", collect);
  add("--start-at-task <name>", "begin at the first task of this name, or that fits this glob");
  add("--step", "ask before each task, once for all hosts");
  add("--force-handlers", "run notified handlers although a task has failed");
  add("--flush-cache", "forget the facts of earlier runs, where ansible.cfg has them cached");
  add("--host-timeout <seconds>", "time limit of a host for each play (default: none)", seconds);
  put(
    new FittingOption(
      "--resume [run]",
      "go on where an earlier run stopped (default: this playbook's latest)",
      {
        fits: (word) => !PLAYBOOK.test(word),
        parse: runToResume,
      },
    ),
  );
  add("--seed <text>", "seed of plays in shuffled order (default: the run's name)");

  group = "Only look:";
  add("--list-hosts", "list the hosts of each play");
  add("--list-tasks", "list the tasks that are known before a run");
  add("--list-tags", "list the tags of these tasks");
  add("--syntax-check", "read the playbook, and no more");

  group = "Become:";
  add("-b, --become", "become another user where plays do not say otherwise");
  add("--become-user <name>", "the user that become means (default: root)");
  command.addOption(
    new Option("--become-method <method>", "where the inventory sets none (default: sudo)")
      .choices(["sudo", "doas", "su"])
      .helpGroup(group),
  );
  add("-K, --ask-become-pass", "ask for the password of sudo, su or doas");
  add("--become-password-file <file>", "read it from a file (or $VOLLEY_BECOME_PASSWORD)");
  alias("--become-pass-file <file>", "becomePasswordFile");

  group = "Connection:";
  add("-u, --user <name>", "login user where the inventory names none");
  add("--private-key <file>", "private key where the inventory names none");
  alias("--key-file <file>", "privateKey");
  add("-k, --ask-pass", "ask for the login password");
  put(new NamedOption("--connection-password-file <file>", "read it from a file", "passwordFile"));
  alias("--conn-pass-file <file>", "passwordFile");
  alias("--password-file <file>", "passwordFile");
  add("--password-fd <number>", "read it from a file descriptor (or $VOLLEY_SSH_PASSWORD)", wholeNumber);
  put(kindOption());
  const limits = "time limit to connect, and to log in (default: 15)";
  put(new NamedOption("-T, --timeout <seconds>", limits, "connectTimeout"), seconds);
  alias("--connect-timeout <seconds>", "connectTimeout", seconds);
  add("--connect-retries <number>", "tries after a refused connection (default: 2)", wholeNumber);
  add("--ssh-common-args <args>", "arguments of ssh, such as '-o ProxyCommand=…' or '-F file'");
  add("--ssh-extra-args <args>", "more of them");
  command.addOption(new Option("--sftp-extra-args <args>").hideHelp());
  command.addOption(new Option("--scp-extra-args <args>").hideHelp());
  add("--ssh-config <file>", "ssh_config to read instead of ssh's own; none: no file");
  command.addOption(
    new Option("--host-keys <policy>", "unknown host keys (default: ssh_config's, else ask)")
      .choices(HOST_KEY_POLICIES)
      .helpGroup(group),
  );
  add("--known-hosts <file>", "known_hosts file instead of ssh's own; repeatable", collectPaths);
  add("-A, --forward-agent", "let the hosts use this machine's SSH agent");
  add(
    "--persist <time>",
    "keep connections for the next command: 10m, 2h (volley persist --help)",
    persistTime,
  );
  add("--no-persist", "keep none, and use none that are kept");
  command.addOption(
    new Option("--transport <kind>", "auto: ssh2, and ssh itself where only ssh can")
      .choices(["auto", "ssh2", "openssh"])
      .default("auto")
      .helpGroup(group),
  );
  command.addOption(
    new Option("--via <method>", "by a bundle on the host, or directly; auto: directly where Node is lacking")
      .choices(["auto", "bundle", "direct"])
      .default("auto")
      .helpGroup(group),
  );
  add("--no-runtime", "send no Node to hosts that have none (volley runtime --help)");

  group = "Queue:";
  add(
    "--queue <url>",
    "have workers carry the hosts' parts out: redis://HOST, rediss://HOST (docs/queue.md)",
  );
  for (const option of queueAccessOptions()) put(option);
  add("--bundle-store <url>", "web or S3 store for bundles (default: $VOLLEY_BUNDLE_STORE, else the queue)");
  addPatienceOptions(add);

  group = "Secrets:";
  add(
    "--vault-id <label@source>",
    "Ansible Vault password: prompt, a file or a program; repeatable",
    collect,
  );
  add("--vault-password-file <file>", "file or program with one; repeatable", collect);
  alias("--vault-pass-file <file>", "vaultPasswordFile", collect);
  add("-J, --ask-vault-pass", "ask for one");
  alias("--ask-vault-password", "askVaultPass");
  add("--age-identity <file>", "age identity for *.age files; repeatable", collect);

  group = "Output:";
  const output = "how to show it; auto: ink on a terminal, else ansible for YAML and plain for TypeScript";
  command.addOption(outputOption(output).helpGroup(group));
  add("-v, --verbose", "more in plain and ansible output: results, connections; up to -vvvv", oneMore);
  add("--timing", "show at the end where the time went");
  command.addOption(webOption().helpGroup(group));
  command
    .optionsGroup(group)
    .version(volleyVersion(), "--version", "show Volley's version")
    .helpOption("-h, --help", "show this help");

  // Accepted, as scripts give it: it has a meaning for YAML playbooks alone.
  command.addOption(
    new Option("-M, --module-path <path>")
      .argParser(collect as (value: string, before: unknown) => unknown)
      .hideHelp(),
  );
  return leaveMisfits(command);
}

function oneMore(_value: string, before: number | undefined): number {
  return (before ?? 0) + 1;
}

/** Refuse `--tags ''`, which would run all tasks. */
function tagsToRun(value: string, before: readonly string[] | undefined): readonly string[] {
  if (splitList([value]).length > 0) return collect(value, before);
  throw new InvalidArgumentError("It names no tag: leave it out to run all tasks.");
}

const PLAYBOOK = /\.(?:[cm]?[jt]s|ya?ml|json)$/;

function runToResume(value: string): string | true {
  if (!PLAYBOOK.test(value)) return value || true;
  throw new InvalidArgumentError("It is a playbook, not a run.");
}

/** Tell whether a playbook is Ansible's. */
export function isAnsiblePlaybook(playbook: string): boolean {
  return /\.(?:ya?ml|json)$/i.test(playbook);
}

/**
 * Read Ansible's settings, which concern its YAML playbooks alone, unless `$ANSIBLE_CONFIG` names a file; and say once what
 * is not heeded. Fails with `USAGE`.
 */
export async function ansibleSettings(playbooks: readonly string[]): Promise<AnsibleSettings | undefined> {
  const isNamed = (process.env.ANSIBLE_CONFIG ?? "") !== "";
  if (!isNamed && !playbooks.some(isAnsiblePlaybook)) return undefined;
  const { readAnsibleSettings } = await import("../../ansible/config/settings.ts");
  const settings = readAnsibleSettings({ cwd: process.cwd() });
  for (const note of settings.notes) process.stderr.write(`volley: warning: ${note}\n`);
  return settings;
}

/** Put the directories of `--module-path`, in front of those that are set. */
export function withLibrary(
  settings: AnsibleSettings | undefined,
  paths: readonly string[] | undefined,
): AnsibleSettings | undefined {
  if (settings === undefined || paths === undefined) return settings;
  const named = paths.flatMap((path) => path.split(":")).filter((path) => path !== "");
  const value = [...named.map((path) => resolve(expandHome(path))), ...(settings.library?.value ?? [])];
  return { ...settings, library: { value, from: "--module-path" } };
}

/** The flags of a run, with everything that Ansible's settings, or the defaults, say where no flag does. */
export type SettledFlags = RunFlags & {
  readonly forks: number;
  readonly verbose: number;
  readonly port?: number;
  readonly sshArguments: Readonly<Record<string, string>>;
  readonly becomeExe?: string;
  readonly becomeFlags?: string;
};

/** Flags about the places where an inventory and its secrets are. */
type SourceFlags = InventoryFlags & Omit<SecretFlags, "ageIdentity">;

/** Let settings stand in for flags about inventory and vault passwords that are not given. */
export function settleSources<F extends SourceFlags>(flags: F, settings: AnsibleSettings | undefined): F {
  if (settings === undefined) return flags;
  const { inventory, vaultPasswordFile: file, vaultIdentityList, askVaultPass } = settings;
  // The secret store reads the variable itself.
  const files = file === undefined || file.from.startsWith("ANSIBLE_") ? [] : [file.value];
  const settled = {
    inventory: flags.inventory ?? inventory?.value,
    vaultPasswordFile: joined(flags.vaultPasswordFile, files),
    vaultId: joined(vaultIdentityList?.value, flags.vaultId),
    askVaultPass: flags.askVaultPass ?? askVaultPass?.value,
  };
  return {
    ...flags,
    ...Object.fromEntries(Object.entries(settled).filter(([, value]) => value !== undefined)),
  };
}

/** Let settings stand in for flags that are not given. Fails with `USAGE`. */
export function settleFlags(flags: RunFlags, settings: AnsibleSettings | undefined): SettledFlags {
  const of = settings ?? { notes: [] };
  const checking = of.hostKeyChecking?.value;
  const become = becomeMethodOf(of);
  const asksBecome = flags.becomePasswordFile === undefined && of.becomePasswordFile === undefined;
  const asksLogin = flags.passwordFile === undefined && of.connectionPasswordFile === undefined;
  const args = {
    ssh_args: of.sshArgs?.value,
    ssh_common_args: flags.sshCommonArgs ?? of.sshCommonArgs?.value,
    ssh_extra_args: flags.sshExtraArgs ?? of.sshExtraArgs?.value,
  };
  const settled = {
    ...settleSources(flags, settings),
    forks: flags.forks ?? of.forks?.value ?? DEFAULT_FORKS,
    user: flags.user ?? of.remoteUser?.value,
    port: of.remotePort?.value,
    privateKey: flags.privateKey ?? of.privateKeyFile?.value,
    hostKeys: flags.hostKeys ?? (checking === false ? ("off" as const) : undefined),
    connectTimeout: flags.connectTimeout ?? of.timeout?.value,
    connectRetries: flags.connectRetries ?? of.sshRetries?.value,
    connection: flags.connection ?? of.transport?.value,
    askPass: flags.askPass ?? (asksLogin ? of.askPass?.value : undefined),
    passwordFile: flags.passwordFile ?? of.connectionPasswordFile?.value,
    sshArguments: Object.fromEntries(Object.entries(args).filter(([, value]) => value !== undefined)),
    become: flags.become ?? of.become?.value,
    becomeUser: flags.becomeUser ?? of.becomeUser?.value,
    becomeMethod: flags.becomeMethod ?? become,
    becomeExe: of.becomeExe?.value,
    becomeFlags: of.becomeFlags?.value,
    askBecomePass: flags.askBecomePass ?? (asksBecome ? of.becomeAskPass?.value : undefined),
    becomePasswordFile: flags.becomePasswordFile ?? of.becomePasswordFile?.value,
    diff: flags.diff ?? of.diffAlways?.value,
    tags: flags.tags ?? of.runTags?.value,
    skipTags: flags.skipTags ?? of.skipTags?.value,
    forceHandlers: flags.forceHandlers ?? of.forceHandlers?.value,
    verbose: flags.verbose ?? of.verbosity?.value ?? 0,
  };
  return Object.fromEntries(
    Object.entries(settled).filter(([, value]) => value !== undefined),
  ) as unknown as SettledFlags;
}

function joined(
  one: readonly string[] | undefined,
  other: readonly string[] | undefined,
): readonly string[] | undefined {
  const all = [...(one ?? []), ...(other ?? [])];
  return all.length === 0 ? undefined : all;
}

function becomeMethodOf({ becomeMethod }: AnsibleSettings): "sudo" | "su" | "doas" | undefined {
  if (becomeMethod === undefined) return undefined;
  const method = becomeMethod.value.replace(/^(?:ansible\.builtin|community\.general)\./, "");
  if (method === "sudo" || method === "su" || method === "doas") return method;
  throw new VolleyError(
    "USAGE",
    `become_method must be sudo, su or doas, not ${method} (${becomeMethod.from})`,
  );
}

/**
 * Turn the flags into options of the controller. As in ansible-playbook, and unlike in Volley's other commands,
 * `--become-user` alone makes nobody become another user: it says whom `become: true` means. Fails with `USAGE`.
 */
export async function runBecomeOptions(
  flags: SettledFlags,
  login: string | undefined,
): Promise<BecomeOptions> {
  const { become, becomeUser, becomeExe, becomeFlags, ...rest } = flags;
  return {
    ...(await becomeOptions(rest, login)),
    ...(become === undefined ? {} : { become }),
    ...(becomeUser === undefined ? {} : { becomeUser }),
    ...(becomeExe === undefined ? {} : { becomeExe }),
    ...(becomeFlags === undefined ? {} : { becomeFlags }),
  };
}

/** The inventory that Ansible reads where nothing names one. */
const SYSTEM_INVENTORY = "/etc/ansible/hosts";

/**
 * Return the inventories to read: as `find` does and, for Ansible's playbooks, else the one of the system, else none: then
 * there is this machine alone.
 */
export function inventoriesOf(
  flags: InventoryFlags,
  find: (flags: InventoryFlags) => readonly string[],
  isAnsible: boolean,
): readonly string[] {
  if (!isAnsible) return find(flags);
  try {
    return find(flags);
  } catch (thrown) {
    if (!(thrown instanceof VolleyError) || thrown.code !== "INVENTORY_MISSING") throw thrown;
    return existsSync(SYSTEM_INVENTORY) ? [SYSTEM_INVENTORY] : [];
  }
}

/** Say, once, which of the flags have no meaning here. */
export function warnOfFlags({ sftpExtraArgs, scpExtraArgs, modulePath }: RunFlags, isAnsible: boolean): void {
  const named = [
    ...(sftpExtraArgs === undefined ? [] : ["--sftp-extra-args"]),
    ...(scpExtraArgs === undefined ? [] : ["--scp-extra-args"]),
    ...(modulePath === undefined || isAnsible ? [] : ["--module-path"]),
  ];
  if (named.length > 0)
    process.stderr.write(`volley: warning: without a meaning here, and not heeded: ${named.join(", ")}\n`);
}
