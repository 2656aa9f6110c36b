import { homedir, userInfo } from "node:os";
import { VolleyError } from "../../core/errors.ts";
import { printable } from "../../core/printable.ts";
import type { HostKeyPolicy, SshSettings } from "../ssh-settings.ts";
import type { Endpoint } from "../transport.ts";
import { evaluateConfig, localHostName } from "./evaluate.ts";
import { agentOf, identitiesOf, knownHostsOf, policyOf } from "./interpret.ts";
import { type JumpName, parseJumps } from "./jump.ts";
import { openSshArguments } from "./openssh-arguments.ts";
import { createKeyFiles, type KeyFiles, openSshNeeds } from "./openssh-needs.ts";
import { gatherOptions, parseTimeMs, saysYes, type WrittenOption } from "./options.ts";
import type { ConfigNode } from "./read.ts";
import { fillTokens, type Tokens } from "./tokens.ts";

/** What holds for every host of a run. */
export interface RunSettings {
  readonly nodes: readonly ConfigNode[];
  /** The file given instead of those ssh reads, for `ssh` itself. */
  readonly configFile: string | undefined;
  readonly user: string | undefined;
  readonly privateKeyFile: string | undefined;
  readonly password: string | undefined;
  /** Given on purpose: over what the inventory and ssh_config say. */
  readonly hostKeyPolicy: HostKeyPolicy | undefined;
  /** Where nobody says anything. */
  readonly defaultHostKeyPolicy: HostKeyPolicy;
  readonly knownHostsFiles: readonly string[] | undefined;
  readonly connectTimeoutMs: number | undefined;
  readonly forwardAgent: boolean | undefined;
}

/** What is said of one host before ssh_config is asked. */
export interface HostWish {
  readonly host: string;
  /** The name or address ssh would be given. */
  readonly name: string;
  readonly port: number | undefined;
  readonly user: string | undefined;
  readonly privateKeyFile: string | undefined;
  readonly password: string | undefined;
  /** From `ansible_ssh_common_args` and the like. */
  readonly written: readonly WrittenOption[];
  /** The same, as words for `ssh`. */
  readonly words: readonly string[];
  /** Why the inventory needs `ssh` itself. */
  readonly needsOpenSsh: string | undefined;
}

/** Turns what is said of hosts into how to reach them. */
export interface Resolver {
  /** Fails with `USAGE`. */
  resolve(wish: HostWish): Endpoint;
  /** What was passed over in ssh_config, each once. */
  readonly notes: ReadonlySet<string>;
}

const DEFAULT_CONNECT_MS = 15_000;
const DEFAULT_KEEPALIVE_MS = 10_000;
const DEFAULT_KEEPALIVES = 3;

/** Makes a {@link Resolver} for a run. */
export function createResolver(run: RunSettings): Resolver {
  const notes = new Set<string>();
  const files = createKeyFiles();
  return {
    notes,
    resolve: (wish) => {
      const user = wish.user ?? run.user;
      const mine = { ...wish, user, privateKeyFile: wish.privateKeyFile ?? run.privateKeyFile };
      return resolveHost(mine, { run, files, notes, above: [], fallbackKey: undefined, before: undefined });
    },
  };
}

interface Context {
  readonly run: RunSettings;
  readonly files: KeyFiles;
  readonly notes: Set<string>;
  /** Names on the way to here, to find circles. */
  readonly above: readonly string[];
  /** For a host on the way: the key of the host behind it. */
  readonly fallbackKey: string | undefined;
  /** For a host on the way that is named after others: these. */
  readonly before: readonly JumpName[] | undefined;
}

function resolveHost(wish: HostWish, context: Context): Endpoint {
  const { run, files, notes, fallbackKey } = context;
  const { host, name, privateKeyFile } = wish;
  const given = wish.user ?? wish.written.find((option) => option.name === "user")?.words[0];
  const fromFiles = evaluateConfig(run.nodes, { name, user: given }, (text) => notes.add(text));
  const written = [...wish.written, ...fromFiles];
  const options = gatherOptions(written);
  const hostName = options.first("hostname");
  const address = hostName === undefined ? name : fillTokens(hostName, { h: name, n: name });
  const port = wish.port ?? readPort(options.first("port"), host) ?? 22;
  const user = wish.user ?? options.first("user") ?? userInfo().username;
  const alias = options.first("hostkeyalias");
  const tokens = tokensOf({ name, address, port, user, alias });
  const agent = agentOf(options.first("identityagent"), tokens);
  const identityFiles = identitiesOf(options, tokens, fallbackKey).filter(files.exists);
  const jumps = jumpsOf(written, wish, port, context);
  const command = options.first("proxycommand");
  const usesCommand = usesProxyCommand(written) && command?.toLowerCase() !== "none";
  const keys = privateKeyFile === undefined ? identityFiles : [privateKeyFile];
  const behind = jumps.find(({ ssh }) => ssh?.needsOpenSsh !== undefined);
  const forwardAgent = run.forwardAgent ?? saysYes(options.first("forwardagent"));
  const settings: Omit<SshSettings, "openSsh"> = {
    identityFiles,
    identitiesOnly: privateKeyFile !== undefined || saysYes(options.first("identitiesonly")),
    agent,
    forwardAgent,
    password: wish.password ?? run.password,
    jumps,
    hostKeyAlias: alias,
    knownHostsFiles: run.knownHostsFiles ?? knownHostsOf(options, tokens),
    hashKnownHosts: saysYes(options.first("hashknownhosts")),
    hostKeyPolicy: run.hostKeyPolicy ?? policyOf(options, run.defaultHostKeyPolicy),
    hostKeyAlgorithms: options.first("hostkeyalgorithms"),
    connectTimeoutMs:
      run.connectTimeoutMs ?? (parseTimeMs(options.first("connecttimeout")) || DEFAULT_CONNECT_MS),
    keepAliveMs: parseTimeMs(options.first("serveraliveinterval")) ?? DEFAULT_KEEPALIVE_MS,
    keepAliveCountMax: readCount(options.first("serveralivecountmax")) ?? DEFAULT_KEEPALIVES,
    usesProxyCommand: usesCommand || jumps.some(({ ssh }) => ssh?.usesProxyCommand === true),
    needsOpenSsh:
      (usesCommand ? "ProxyCommand is set" : undefined) ??
      wish.needsOpenSsh ??
      openSshNeeds(options, keys, agent, files) ??
      (behind === undefined ? undefined : `${behind.host}, on the way: ${behind.ssh!.needsOpenSsh}`),
  };
  const onTheWay = fallbackKey === undefined ? [] : identityFiles;
  const openSsh = {
    destination: name,
    arguments: [
      ...openSshArguments(wish, settings, run, context.above.length > 0),
      ...onTheWay.flatMap((file) => ["-o", `IdentityFile=${file}`]),
    ],
  };
  return { host, address, port, user, privateKeyFile, ssh: { ...settings, openSsh } };
}

function usesProxyCommand(written: readonly WrittenOption[]): boolean {
  return firstProxy(written)?.name === "proxycommand";
}

/** Whichever of the two comes first wins (ssh_config(5)). */
function firstProxy(written: readonly WrittenOption[]): WrittenOption | undefined {
  return written.find(({ name }) => name === "proxyjump" || name === "proxycommand");
}

/** The hosts on the way, the nearest first; each has its own configuration. */
function jumpsOf(
  written: readonly WrittenOption[],
  wish: HostWish,
  port: number,
  context: Context,
): readonly Endpoint[] {
  const { above, before } = context;
  let names: readonly JumpName[];
  if (before !== undefined) names = before;
  else {
    const proxy = firstProxy(written);
    if (proxy?.name !== "proxyjump") return [];
    names = parseJumps(proxy.words[0] ?? "none");
  }
  const last = names.at(-1);
  // `Host *` with a ProxyJump holds for the host on the way too: ssh does not jump through it to itself.
  const isItself = (jump: JumpName): boolean => jump.host === wish.name && (jump.port ?? port) === port;
  if (last === undefined || names.some(isItself)) return [];
  if (above.includes(wish.name)) {
    throw new VolleyError(
      "USAGE",
      `the hosts to jump through go in a circle: ${printable([...above, wish.name].join(", "))}`,
    );
  }
  const hop = resolveHost(
    {
      host: last.host,
      name: last.host,
      port: last.port,
      user: last.user,
      privateKeyFile: undefined,
      password: undefined,
      written: [],
      words: [],
      needsOpenSsh: undefined,
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

function readPort(text: string | undefined, host: string): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new VolleyError(
    "USAGE",
    `ssh_config: ${printable(JSON.stringify(text), 100)} is not a port (for ${printable(host, 300)})`,
  );
}

function readCount(text: string | undefined): number | undefined {
  const count = Number(text?.trim() || Number.NaN);
  return Number.isSafeInteger(count) && count >= 0 ? count : undefined;
}

function tokensOf(host: {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly alias: string | undefined;
}): Tokens {
  const local = localHostName();
  return {
    d: homedir(),
    h: host.address,
    i: String(process.getuid?.() ?? 0),
    k: host.alias ?? host.name,
    L: local.split(".")[0]!,
    l: local,
    n: host.name,
    p: String(host.port),
    r: host.user,
    u: userInfo().username,
  };
}
