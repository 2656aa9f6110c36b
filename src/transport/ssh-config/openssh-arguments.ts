import type { SshSettings } from "../ssh-settings.ts";
import { proxyCommand } from "./proxy-command.ts";
import type { HostWish, RunSettings } from "./resolve.ts";

/**
 * For `ssh`, which reads its configuration by itself: only what is said elsewhere, the first given winning there too,
 * and the way there, which `ssh` would follow with none of the options given for the host.
 */
export function openSshArguments(
  { port, user, privateKeyFile, words }: HostWish,
  settings: Omit<SshSettings, "openSsh">,
  run: RunSettings,
  onTheWay: boolean,
): readonly string[] {
  const option = (name: string, value: string): readonly string[] => ["-o", `${name}=${value}`];
  const quoted = (files: readonly string[]): string => files.map(quotePath).join(" ");
  const { hostKeyPolicy, jumps, keepAliveMs, keepAliveCountMax, connectTimeoutMs } = settings;
  // What ssh_config says `ssh` follows by itself: without host keys it keeps passwords back.
  const off = hostKeyPolicy === "off" && !settings.passwordsNeedKnownKeys;
  const direct = jumps.length === 0;
  return [
    ...(run.configFile === undefined ? [] : ["-F", run.configFile]),
    ...(direct ? [] : option("ProxyCommand", proxyCommand(jumps))),
    // A ProxyJump for everybody holds for the host on the way, too, which ssh calls a loop.
    ...(direct && onTheWay && !settings.usesProxyCommand ? option("ProxyJump", "none") : []),
    ...option(
      "StrictHostKeyChecking",
      { strict: "yes", ask: "yes", "accept-new": "accept-new", off: "no" }[hostKeyPolicy],
    ),
    ...(off ? option("UserKnownHostsFile", "/dev/null") : []),
    ...(off || run.knownHostsFiles !== undefined ? option("GlobalKnownHostsFile", "/dev/null") : []),
    ...(!off && run.knownHostsFiles !== undefined
      ? option("UserKnownHostsFile", quoted(run.knownHostsFiles))
      : []),
    ...option("ConnectTimeout", String(Math.max(1, Math.round(connectTimeoutMs / 1_000)))),
    ...option("ServerAliveInterval", String(Math.round(keepAliveMs / 1_000))),
    ...option("ServerAliveCountMax", String(keepAliveCountMax)),
    ...(run.forwardAgent === undefined ? [] : option("ForwardAgent", run.forwardAgent ? "yes" : "no")),
    ...(port === undefined ? [] : ["-p", String(port)]),
    ...(user === undefined ? [] : ["-l", user]),
    ...(privateKeyFile === undefined ? [] : ["-i", privateKeyFile, ...option("IdentitiesOnly", "yes")]),
    ...(direct ? words : withoutJumps(words)),
  ];
}

/** A path as a value of an option, whatever is in it; ssh fills in tokens and variables. */
export function quotePath(path: string): string {
  return `"${path.replaceAll(/["\\]/g, "\\$&").replaceAll("%", "%%")}"`;
}

/** ssh looks for loops in a ProxyJump even where a ProxyCommand has won. */
function withoutJumps(words: readonly string[]): readonly string[] {
  return words.filter((word, index) => {
    const option = word === "-o" ? (words[index + 1] ?? "") : words[index - 1] === "-o" ? word : "";
    return !/^proxyjump[=\s]/i.test(option);
  });
}
