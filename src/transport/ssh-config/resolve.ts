import { userInfo } from "node:os";
import { printable, VolleyError } from "../../core/errors.ts";
import type { Endpoint, HostKeyPolicy, SshSettings } from "../transport.ts";
import { type Evaluated, evaluateConfig, type RunCommand } from "./evaluate.ts";
import {
  createKeyFiles,
  type HostPart,
  type KeyFiles,
  openSshArguments,
  openSshNeeds,
  quotePath,
  type RunPart,
  ssh2Algorithms,
} from "./openssh.ts";
import {
  agentOf,
  environmentOf,
  fillTokens,
  forwardingOf,
  identitiesOf,
  knownHostsOf,
  listOf,
  loginMethodsOf,
  persistMsOf,
  policyOf,
  type SshOptions,
  saysYes,
  type Tokens,
  timeMs,
  tokensOf,
} from "./options.ts";
import type { WrittenOption } from "./parse.ts";
import type { ConfigFile } from "./read.ts";
import { type JumpName, parseJumps } from "./values.ts";

/** Settings of the whole run. */
export interface RunSettings extends RunPart {
  readonly files: readonly ConfigFile[];
  /** Runs the commands of `Match exec`. */
  readonly runCommand: RunCommand;
  readonly user: string | undefined;
  readonly privateKeyFile: string | undefined;
  readonly password: string | undefined;
  /** The policy from the command line, which overrides inventory and ssh_config. */
  readonly hostKeyPolicy: HostKeyPolicy | undefined;
  /** The policy where no source sets one. */
  readonly defaultHostKeyPolicy: HostKeyPolicy;
  readonly connectTimeoutMs: number | undefined;
  /** How long connections are kept; 0: not at all; undefined: as the host's settings say. */
  readonly persistMs: number | undefined;
}

/** Settings of one host from the inventory and the command line. */
export interface HostWish extends HostPart {
  readonly host: string;
  /** The name or address for `ssh`. */
  readonly name: string;
  readonly password: string | undefined;
  /** How long the connection is kept, where the run does not say; 0: not at all. Default: by ssh_config. */
  readonly persistMs?: number | undefined;
  /** The options of `words`. */
  readonly written: readonly WrittenOption[];
}

/** Finds out how to reach hosts. */
export interface Resolver {
  /** Resolve one host by ssh_config. Fails with `USAGE`. */
  resolve(wish: HostWish): Promise<Endpoint>;
}

const DEFAULT_CONNECT_MS = 15_000;
const DEFAULT_KEEPALIVE_MS = 10_000;
const DEFAULT_KEEPALIVES = 3;
const DEFAULT_RSA_BITS = 1_024;
const PASSWORD_ORDER = [
  "-o",
  "PreferredAuthentications=publickey,gssapi-with-mic,password,keyboard-interactive",
];

/** Make the {@link Resolver} of a run. */
export function createResolver(run: RunSettings): Resolver {
  const files = createKeyFiles();
  return {
    resolve: async (wish) => {
      const user = wish.user ?? run.user;
      const mine = { ...wish, user, privateKeyFile: wish.privateKeyFile ?? run.privateKeyFile };
      return await resolveHost(mine, { run, files, above: [], fallbackKey: undefined, before: undefined });
    },
  };
}

interface Context {
  readonly run: RunSettings;
  readonly files: KeyFiles;
  /** Names of the hosts behind this one, to find circles. */
  readonly above: readonly string[];
  /** For a jump host: the key of the host behind it. */
  readonly fallbackKey: string | undefined;
  /** For a jump host that is not the first of its list: the ones before it. */
  readonly before: readonly JumpName[] | undefined;
}

async function resolveHost(wish: HostWish, context: Context): Promise<Endpoint> {
  const { run, files, fallbackKey } = context;
  const { host, name, privateKeyFile } = wish;
  const evaluated = await evaluateConfig(run.files, { name, given: givenOf(wish) }, run.runCommand);
  const { options, hostName: address } = evaluated;
  const port = Number(options.first("port") ?? 22);
  const user = options.first("user") ?? userInfo().username;
  const alias = options.first("hostkeyalias")?.toLowerCase();
  const tokens = tokensOf({ name, host: address, port, user, alias });
  const agent = agentOf(options.first("identityagent"), tokens);
  const identities = identitiesOf(options, tokens, fallbackKey);
  const isThere = (path: string): boolean => files.exists(path) || files.exists(`${path}.pub`);
  const identityFiles = identities.files.filter(isThere);
  const keys = privateKeyFile === undefined ? identityFiles : [privateKeyFile];
  const { vital, reason } = openSshNeeds(options, { keys, isNamed: identities.named, agent, files });
  const jumps = await jumpsOf(evaluated, wish, { port, user, tokens }, context);
  const behind = jumps.find(({ ssh }) => ssh?.needsOpenSsh !== undefined);
  const known = knownHostsOf(options, tokens);
  const forwarding = forwardingOf(options.first("forwardagent"), tokens);
  const attempts = Number(options.first("connectionattempts") ?? 1);
  const family = options.first("addressfamily");
  const settings: Omit<SshSettings, "openSsh"> = {
    identityFiles,
    identitiesNamed: identities.named,
    identitiesOnly: privateKeyFile !== undefined || saysYes(options.first("identitiesonly")),
    agent,
    ...forwarding,
    ...(run.forwardAgent === undefined ? {} : { forwardAgent: run.forwardAgent }),
    loginMethods: loginMethodsOf(options),
    keyAlgorithms: listOf(options, "pubkeyacceptedalgorithms"),
    requiredRsaBits: Number(options.first("requiredrsasize") ?? DEFAULT_RSA_BITS),
    mayAsk: !saysYes(options.first("batchmode")),
    password: wish.password ?? run.password,
    jumps,
    hostKeyAlias: alias,
    knownHostsFiles: run.knownHostsFiles ?? known.files,
    newKeysFile: run.knownHostsFiles === undefined ? known.newKeysFile : run.knownHostsFiles[0],
    hashKnownHosts: saysYes(options.first("hashknownhosts")),
    hostKeyPolicy: run.hostKeyPolicy ?? policyOf(options, run.defaultHostKeyPolicy),
    passwordsNeedKnownKeys: run.hostKeyPolicy === undefined,
    algorithms: {
      cipher: ssh2Algorithms(options, "ciphers"),
      hmac: ssh2Algorithms(options, "macs"),
      kex: ssh2Algorithms(options, "kexalgorithms"),
      serverHostKey: ssh2Algorithms(options, "hostkeyalgorithms"),
    },
    bindAddress: options.first("bindaddress"),
    addressFamily: family === "inet" ? 4 : family === "inet6" ? 6 : undefined,
    connectRetries: attempts > 1 ? attempts - 1 : undefined,
    environment: environmentOf(options),
    connectTimeoutMs: run.connectTimeoutMs ?? (timeMs(options.first("connecttimeout")) || DEFAULT_CONNECT_MS),
    keepAliveMs: timeMs(options.first("serveraliveinterval")) ?? DEFAULT_KEEPALIVE_MS,
    keepAliveCountMax: Number(options.first("serveralivecountmax") ?? DEFAULT_KEEPALIVES),
    persistMs: (run.persistMs ?? wish.persistMs ?? persistMsOf(options)) || undefined,
    usesProxyCommand:
      commandOf(options.first("proxycommand")) || jumps.some(({ ssh }) => ssh?.usesProxyCommand === true),
    needsOpenSsh:
      reason ??
      undecidedReason(evaluated) ??
      (behind === undefined ? undefined : `${behind.host}, on the way: ${behind.ssh!.needsOpenSsh}`),
    refusedBySsh2: vital ?? undecidedReason(evaluated),
  };
  const fallbackFiles = fallbackKey === undefined ? [] : identityFiles;
  const openSsh = {
    destination: name,
    arguments: [
      ...openSshArguments(wish, settings, run, context.above.length > 0),
      // Keep forwardings to the host; the others are for a person's session.
      ...(isOn(options, "remoteforward") || isOn(options, "tunnel") ? [] : ["-o", "ClearAllForwardings=yes"]),
      // The password is sent once, so the plainest method comes first.
      ...(settings.password === undefined || isOn(options, "preferredauthentications") ? [] : PASSWORD_ORDER),
      ...fallbackFiles.flatMap((file) => ["-o", `IdentityFile=${quotePath(file)}`]),
    ],
  };
  return { host, address, port, user, privateKeyFile, ssh: { ...settings, openSsh } };
}

function isOn(options: SshOptions, name: string): boolean {
  const value = options.first(name);
  return value !== undefined && value !== "false";
}

/** Return the options from the inventory and the command line, which override the files. */
function givenOf({ port, user, written }: HostWish): readonly WrittenOption[] {
  return [
    ...(port === undefined ? [] : [{ name: "port", words: [String(port)] }]),
    ...(user === undefined ? [] : [{ name: "user", words: [user] }]),
    ...written,
  ];
}

function commandOf(command: string | undefined): boolean {
  return command !== undefined && command.toLowerCase() !== "none";
}

function undecidedReason({ undecided: [name] }: Evaluated): string | undefined {
  return name === undefined ? undefined : `only the ssh that runs can decide Match ${name}`;
}

/** Resolve the jump hosts, the nearest first; each has a configuration of its own. */
async function jumpsOf(
  { options, hostName }: Evaluated,
  wish: HostWish,
  here: { readonly port: number; readonly user: string; readonly tokens: Tokens },
  context: Context,
): Promise<readonly Endpoint[]> {
  const { above, before } = context;
  // Of ProxyJump and ProxyCommand the first one wins (ssh_config(5)); the option store has dropped the other.
  const names =
    before ?? parseJumps(options.first("proxyjump") ?? "none").map((jump) => filled(jump, here.tokens));
  const last = names.at(-1);
  // `Host *` with a ProxyJump holds for the jump host, too; `ssh` would call that a loop.
  const isItself = (jump: JumpName): boolean =>
    [wish.name, hostName].includes(jump.host) && (jump.port ?? here.port) === here.port;
  if (last === undefined || names.some(isItself)) return [];
  if (above.includes(wish.name)) {
    throw new VolleyError(
      "USAGE",
      `the hosts to jump through go in a circle: ${printable([...above, wish.name].join(", "))}`,
    );
  }
  const hop = await resolveHost(
    {
      host: last.host,
      name: last.host,
      port: last.port,
      user: last.user,
      privateKeyFile: undefined,
      password: undefined,
      written: [],
      words: [],
    },
    {
      ...context,
      above: [...above, wish.name],
      fallbackKey: wish.privateKeyFile ?? context.fallbackKey,
      before: names.length === 1 ? undefined : names.slice(0, -1),
    },
  );
  return [...hop.ssh!.jumps, hop];
}

/** Expand the tokens of the host behind the jump host, as `ssh` does in the command that it makes of ProxyJump. */
function filled({ host, user, port }: JumpName, tokens: Tokens): JumpName {
  const some = Object.fromEntries(["h", "k", "n", "p", "r"].map((letter) => [letter, tokens[letter]!]));
  return {
    host: fillTokens(host, some),
    user: user === undefined ? undefined : fillTokens(user, some),
    port,
  };
}
