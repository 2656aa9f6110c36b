import type { SshSettings } from "../ssh-settings.ts";
import { proxyCommand } from "./proxy-command.ts";
import type { HostWish, RunSettings } from "./resolve.ts";

/** For `ssh`, which reads its configuration by itself: only what is said elsewhere. First given wins there too. */
export function openSshArguments(
  { port, user, privateKeyFile, words }: HostWish,
  settings: Omit<SshSettings, "openSsh">,
  run: RunSettings,
): readonly string[] {
  const option = (name: string, value: string): readonly string[] => ["-o", `${name}=${value}`];
  const quoted = (files: readonly string[]): string => files.map((file) => `"${file}"`).join(" ");
  const { hostKeyPolicy, jumps, keepAliveMs, keepAliveCountMax, connectTimeoutMs } = settings;
  const off = hostKeyPolicy === "off";
  return [
    ...(run.configFile === undefined ? [] : ["-F", run.configFile]),
    ...(jumps.length === 0 ? [] : option("ProxyCommand", proxyCommand(jumps))),
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
    ...words,
  ];
}
