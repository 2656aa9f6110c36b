import { homedir } from "node:os";
import { join } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { Host } from "../../core/inventory.ts";
import type { PlayDefinition } from "../../core/playbook.ts";
import type { JobBecome } from "../../core/protocol.ts";
import {
  BECOME_METHODS,
  BECOME_PASSWORD_VARS,
  type Become,
  type BecomeMethod,
  becomeUser,
  DEFAULT_BECOME_USER,
} from "../../core/unix/users.ts";
import { numeric, writeJson } from "../../core/values/value.ts";
import type { BackgroundLink } from "../../transport/persist/link.ts";
import type { AskPassphrase } from "../../transport/ssh/keys.ts";
import type { KnownHosts } from "../../transport/ssh/known-hosts.ts";
import type { SshTransport } from "../../transport/ssh/ssh-transport.ts";
import { createCommands } from "../../transport/ssh-config/evaluate.ts";
import { parseSshArguments } from "../../transport/ssh-config/parse.ts";
import { readSshConfig, type SshConfigChoice } from "../../transport/ssh-config/read.ts";
import {
  createResolver,
  type HostWish,
  type Resolver,
  type RunSettings,
} from "../../transport/ssh-config/resolve.ts";
import type { Endpoint, HostKeyPolicy, SshSettings, Transport } from "../../transport/transport.ts";
import { fillReferences } from "../../vars/scope.ts";

// The way to each host and the user to work as, from the inventory's vars, ssh_config and the options.

/** A host's endpoint and transport. */
export interface Reached {
  readonly endpoint: Endpoint;
  readonly transport: Transport;
}

/** Options for reaching hosts. Each option says whether the inventory and ssh_config come before it. */
export interface ReachOptions {
  /** Port where the inventory names none. Default: ssh_config's, else 22. */
  readonly port?: number;
  /** Arguments of `ssh` where the inventory has none, by the var that would hold them, without its `ansible_`. */
  readonly sshArguments?: Readonly<Partial<Record<SshArgumentName, string>>>;
  /** Login user where the inventory names none. Default: ssh_config's, else the current user. */
  readonly user?: string;
  /** The only key to use where the inventory names none. */
  readonly privateKeyFile?: string;
  /** Comes before the inventory and ssh_config. Default: `ask` when `askHostKeys` is given, else `strict`. */
  readonly hostKeys?: HostKeyPolicy;
  /** Used instead of ssh's own files. */
  readonly knownHostsFiles?: readonly string[];
  /** Time limit to connect, and again to log in. Default: ssh_config's, else 15 s. */
  readonly connectTimeoutMs?: number;
  /** Times to try again when a host refuses or resets a connection before login. Default 2. */
  readonly connectRetries?: number;
  /** ssh_config file to read instead of `~/.ssh/config` and `/etc/ssh/ssh_config`; `none` reads no file. */
  readonly sshConfig?: string;
  /** Default `auto`: ssh2, and OpenSSH's own `ssh` for hosts whose settings ssh2 does not support. */
  readonly transport?: "auto" | "ssh2" | "openssh";
  /** The login password where the inventory names none. */
  readonly password?: string;
  /** Allow the hosts to use this machine's SSH agent. Default: ssh_config's. */
  readonly forwardAgent?: boolean;
  /** Keep connections for the next command in a process of the user's. Default: connections are closed, whatever the inventory says. */
  readonly persist?: PersistChoice;
}

/** How to keep connections. */
export interface PersistChoice {
  /** Time after the last use; 0: keep none. Default: the inventory's, else ssh_config's ControlPersist. */
  readonly forMs?: number;
  /** Reach the background process, or start one. */
  openLink(): Promise<BackgroundLink>;
}

const ARGUMENTS = ["ssh_args", "ssh_common_args", "ssh_extra_args"] as const;
type SshArgumentName = (typeof ARGUMENTS)[number];

/** Vars that hold a login password, the nearest first. */
export const PASSWORD_VARS = ["ansible_ssh_password", "ansible_ssh_pass", "ansible_password"];

/** A converter from hosts of the inventory to endpoints. */
export interface Reach {
  /** Resolve a host; runs the commands of `Match exec`. Fails with `USAGE`, `INVENTORY_INVALID` or `CANCELLED`. */
  endpointOf(host: Host): Promise<Endpoint>;
}

/** Read ssh_config, once. Fails with `USAGE`. */
export function openReach(options: ReachOptions, canAsk: boolean, signal: AbortSignal): Reach {
  const runCommand = createCommands(signal);
  const resolvers = new Map<SshConfigChoice, Resolver>();
  const resolverFor = (configFile: SshConfigChoice): Resolver => {
    const resolver = resolvers.get(configFile) ?? createResolver(settingsFor(configFile));
    resolvers.set(configFile, resolver);
    return resolver;
  };
  const settingsFor = (configFile: SshConfigChoice): RunSettings => ({
    files: readSshConfig(configFile),
    runCommand,
    configFile,
    user: options.user,
    privateKeyFile: options.privateKeyFile,
    password: options.password,
    hostKeyPolicy: options.hostKeys,
    defaultHostKeyPolicy: canAsk ? "ask" : "strict",
    knownHostsFiles: options.knownHostsFiles,
    connectTimeoutMs: options.connectTimeoutMs,
    forwardAgent: options.forwardAgent,
    // Without a background process to start, inventory and ssh_config may say what they like.
    persistMs: options.persist === undefined ? 0 : options.persist.forMs,
  });
  // A wrong file is told before any host is looked at.
  resolverFor(options.sshConfig);
  return {
    endpointOf: async (host) => {
      const { configFile = options.sshConfig, ...wish } = wishOf(host, options);
      return await resolverFor(configFile).resolve(wish);
    },
  };
}

function wishOf(host: Host, options: ReachOptions): HostWish & { readonly configFile?: string } {
  const { address, port = options.port, user, privateKeyFile, persistMs } = host.connection;
  const given = ARGUMENTS.flatMap((name) => {
    const own = readText(host, `ansible_${name}`);
    const text = own ?? options.sshArguments?.[name];
    if (text === undefined || text === "") return [];
    return [parseSshArguments(text, own === undefined ? name : whereOf(host, `ansible_${name}`))];
  });
  const configFile = given.findLast((each) => each.configFile !== undefined)?.configFile;
  return {
    ...(configFile === undefined ? {} : { configFile: expandHome(configFile) }),
    host: host.name,
    name: address,
    port,
    user,
    privateKeyFile,
    password: PASSWORD_VARS.map((name) => readText(host, name)).find((text) => text !== undefined),
    persistMs,
    written: given.flatMap(({ options }) => options),
    words: given.flatMap(({ words }) => words),
  };
}

/** An unknown host key, as shown to the user. */
export interface UnknownHostKey {
  readonly host: string;
  /** The host's name in known_hosts: an address, with a port when it is not 22. */
  readonly name: string;
  /** The key's type, such as `ssh-ed25519`. */
  readonly type: string;
  /** `SHA256:…`, as `ssh-keygen -l` prints it. */
  readonly fingerprint: string;
  /** The known_hosts file to add the key to. */
  readonly file: string;
}

/** Ask the user whether these keys are right. True adds all of them to known_hosts. */
export type AskHostKeys = (keys: readonly UnknownHostKey[]) => Promise<boolean>;

/** Options of transports. */
export interface TransportsOptions extends ReachOptions {
  readonly askPassphrase?: AskPassphrase;
  readonly askHostKeys?: AskHostKeys;
}

/** The two SSH transports, and how to reach each host. */
export interface SshTransports {
  readonly ssh: SshTransport;
  /** The passphrases that were asked for, by file. */
  readonly passphrases: ReadonlyMap<string, string>;
  readonly openssh: Transport;
  readonly reach: Reach;
  knownHostsOf(settings: SshSettings): KnownHosts;
}

/** Open the SSH transports, without a connection. Fails with `USAGE`. */
export async function openSshTransports(
  options: TransportsOptions,
  signal: AbortSignal,
): Promise<SshTransports> {
  const { askPassphrase } = options;
  const [{ openKnownHosts }, { createOpenSshTransport }] = await Promise.all([
    import("../../transport/ssh/known-hosts.ts"),
    import("../../transport/openssh/openssh-transport.ts"),
  ]);
  const reach = openReach(options, options.askHostKeys !== undefined, signal);
  const knownHosts = new Map<string, KnownHosts>();
  const knownHostsOf = ({ knownHostsFiles, newKeysFile }: SshSettings): KnownHosts => {
    const key = JSON.stringify([knownHostsFiles, newKeysFile]);
    const known = knownHosts.get(key) ?? openKnownHosts(knownHostsFiles, newKeysFile ?? null);
    knownHosts.set(key, known);
    return known;
  };
  const passphrases = new Map<string, string>();
  const ssh = loadLate(async () => {
    const [{ createSshTransport }, { KeyRing }] = await Promise.all([
      import("../../transport/ssh/ssh-transport.ts"),
      import("../../transport/ssh/keys.ts"),
    ]);
    return createSshTransport({
      keys: new KeyRing(askPassphrase ?? (async () => null), passphrases),
      knownHostsOf,
      interactive: askPassphrase !== undefined,
      connectRetries: options.connectRetries,
    });
  }, askPassphrase !== undefined);
  const openssh = createOpenSshTransport({ connectRetries: options.connectRetries });
  return { ssh, passphrases, openssh, reach, knownHostsOf };
}

/** Make a transport that loads ssh2 when it is needed: not where the background process has all connections. */
function loadLate(load: () => Promise<SshTransport>, interactive: boolean): SshTransport {
  let loading: Promise<SshTransport> | undefined;
  const loaded = (): Promise<SshTransport> => {
    loading ??= load();
    return loading;
  };
  return {
    connect: async (endpoint, signal) => (await loaded()).connect(endpoint, signal),
    open: async (endpoint, signal) => (await loaded()).open(endpoint, signal),
    // Nobody can be asked for passphrases.
    lockedKeys: async (endpoints) => (interactive ? (await loaded()).lockedKeys(endpoints) : []),
    unlock: async (file) => (await loaded()).unlock(file),
    scan: async (endpoint, signal) => (await loaded()).scan(endpoint, signal),
    close: () => void loading?.then((ssh) => ssh.close()),
  };
}

/** The parts of a play that tell the user to work as. */
export interface BecomePlay {
  readonly index: number;
  readonly play: Pick<PlayDefinition, "name"> & {
    readonly [Key in "become" | "becomeMethod" | "becomeExe" | "becomeFlags"]?:
      | PlayDefinition[Key]
      | undefined;
  } & {
    /** Defined for a play in Ansible's YAML. */
    readonly program?: unknown;
  };
}

/** Options for becoming another user, where neither inventory nor plays set them. */
export interface BecomeOptions {
  /** The user to become; `true` is root. */
  readonly become?: boolean | string;
  /** The user that `true` means, in plays and the inventory too. Default: root. */
  readonly becomeUser?: string;
  /** Default `sudo`. */
  readonly becomeMethod?: BecomeMethod;
  /** The program where the inventory names none. Default: the method's own. */
  readonly becomeExe?: string;
  /** Flags of the program where the inventory has none, as one text. */
  readonly becomeFlags?: string;
  /** The password that sudo, doas or su asks for. Without one, a host that asks fails. */
  readonly becomePassword?: string;
}

/**
 * Return the method and the password to become any other user on a host: as the inventory says, else the first of these
 * plays that says something, else the options. Fails with `INVENTORY_INVALID`, `PLAYBOOK_INVALID` or `USAGE`.
 */
export function becomeWay(
  host: Host,
  options: BecomeOptions,
  plays: readonly BecomePlay["play"][] = [],
): Omit<Become, "user"> {
  const named = readText(host, "ansible_become_method");
  const ofPlay = plays.find(({ becomeMethod }) => becomeMethod !== undefined);
  const said = named ?? ofPlay?.becomeMethod;
  const method = said === undefined ? (options.becomeMethod ?? "sudo") : BECOME_METHODS[said];
  if (method === undefined) {
    const isPlays = named === undefined;
    const where = isPlays
      ? `become_method of play "${ofPlay!.name}"`
      : whereOf(host, "ansible_become_method");
    throw new VolleyError(
      isPlays ? "PLAYBOOK_INVALID" : "INVENTORY_INVALID",
      `${where} must be sudo, doas or su, not "${said}"`,
    );
  }
  const exe =
    readText(host, "ansible_become_exe") ??
    plays.find(({ becomeExe }) => becomeExe !== undefined)?.becomeExe ??
    options.becomeExe;
  const flags =
    readText(host, "ansible_become_flags") ??
    plays.find(({ becomeFlags }) => becomeFlags !== undefined)?.becomeFlags ??
    options.becomeFlags;
  const inInventory = BECOME_PASSWORD_VARS.map((name) => readText(host, name)).find(
    (text) => text !== undefined,
  );
  const password = inInventory ?? options.becomePassword;
  if (password !== undefined && /[\r\n\0]/.test(password)) {
    throw new VolleyError(
      "USAGE",
      `the password to become another user on ${host.name} has a line break in it`,
    );
  }
  return {
    method,
    ...(exe === undefined ? {} : { exe }),
    ...(flags === undefined ? {} : { flags: flags.split(/\s+/).filter((flag) => flag !== "") }),
    ...(password === undefined ? {} : { password }),
  };
}

/** Return the user of a play on a host: the play's, else the inventory's, else the caller's. Null: the login user. */
function playUser(host: Host, play: BecomePlay["play"], options: BecomeOptions): string | null {
  const { become } = host.connection;
  const isOpen = become === DEFAULT_BECOME_USER && host.vars.ansible_become_user === undefined;
  const said = play.become ?? (isOpen ? true : become);
  return said === null ? null : becomeUser(said ?? options.become ?? false, options.becomeUser);
}

/** The users of one host's part of a run. */
export interface HostBecome {
  /** The user to start the bundle as; null: the login user. */
  readonly start: Become | null;
  /** The way for the agent to run plays, roles and tasks as other users. */
  readonly job: JobBecome;
  /** Texts to mask in all output. */
  readonly secrets: readonly string[];
}

/**
 * Choose the user to start the bundle as: the user of every play; where plays differ, root if a play is root's, because
 * root can become anybody, else the login user. The agent starts a process for each other user. Of Ansible's plays no user
 * but these two starts the bundle: tasks may be another user's, and the play's may have no home.
 */
export function hostBecome(
  host: Host,
  login: string,
  plays: readonly BecomePlay[],
  options: BecomeOptions,
): HostBecome {
  const way = becomeWay(
    host,
    options,
    plays.map(({ play }) => play),
  );
  const wanted = plays.map(({ index, play }) => [index, playUser(host, play, options) ?? login] as const);
  const users = new Set(wanted.map(([, user]) => user));
  const isOfAll = users.size === 1 && plays.every(({ play }) => play.program === undefined);
  const user = isOfAll ? [...users][0]! : users.has(DEFAULT_BECOME_USER) ? DEFAULT_BECOME_USER : login;
  const others = wanted.filter(([, each]) => each !== user);
  const { password, ...rest } = way;
  return {
    start: user === login ? null : { ...way, user },
    job: {
      login,
      ...(options.becomeUser === undefined ? {} : { standard: options.becomeUser }),
      users: Object.fromEntries(others),
      // sudo asks the login user for a password, and root for none.
      way: user === login && login !== DEFAULT_BECOME_USER ? way : rest,
    },
    secrets: password === undefined ? [] : [password],
  };
}

function expandHome(path: string): string {
  return path.startsWith("~/") ? join(homedir(), path.slice(2)) : path;
}

/** Return a var as text, with plain references filled in; undefined when the var is not set, or empty. */
function readText(host: Host, name: string): string | undefined {
  const value = host.vars[name];
  if (value === undefined || value === null || value === "") return undefined;
  const where = whereOf(host, name);
  const magic: Readonly<Record<string, unknown>> = { inventory_hostname: host.name };
  const filled = fillReferences(
    value,
    (variable) => host.vars[variable] ?? magic[variable],
    (problem) => {
      throw new VolleyError("INVENTORY_INVALID", `${where} cannot be filled in: ${problem}`);
    },
  );
  if (typeof filled === "string") return filled;
  if (typeof filled !== "boolean" && numeric(filled) !== undefined) return String(filled);
  throw new VolleyError("INVENTORY_INVALID", `${where} must be text, not ${writeJson(filled)}`);
}

/** Name a var of a host and where it was set, for errors. */
function whereOf({ name: host, sources }: Host, name: string): string {
  const source = sources[name];
  const place =
    source === undefined ? "" : ` (${source.file}${source.line === undefined ? "" : `:${source.line}`})`;
  return `${name} of host ${host}${place}`;
}
