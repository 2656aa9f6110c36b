import { homedir } from "node:os";
import { join } from "node:path";
import type { HostKeyPolicy } from "../ssh-settings.ts";
import { defaultKeyFiles } from "./openssh-needs.ts";
import type { SshOptions } from "./options.ts";
import { fillPath, type Tokens } from "./tokens.ts";

/** Path of the agent's socket, by what IdentityAgent says; undefined: none. */
export function agentOf(text: string | undefined, tokens: Tokens): string | undefined {
  if (text === undefined || text === "SSH_AUTH_SOCK") return process.env.SSH_AUTH_SOCK || undefined;
  if (text.toLowerCase() === "none") return undefined;
  const variable = /^\$(\w+)$/.exec(text)?.[1];
  return variable === undefined ? fillPath(text, tokens) : process.env[variable] || undefined;
}

/** The key files that IdentityFile names; `fallbackKey` comes last, after those that ssh tries by itself. */
export function identitiesOf(
  options: SshOptions,
  tokens: Tokens,
  fallbackKey: string | undefined,
): readonly string[] {
  const files = options
    .all("identityfile")
    .filter((text) => text.toLowerCase() !== "none")
    .map((text) => fillPath(text, tokens));
  if (fallbackKey === undefined) return files;
  return [...new Set([...(files.length === 0 ? defaultKeyFiles() : files), fallbackKey])];
}

/** The known_hosts files, the user's first. */
export function knownHostsOf(options: SshOptions, tokens: Tokens): readonly string[] {
  const filesOf = (name: string, defaults: readonly string[]): readonly string[] => {
    const words = options.all(name);
    if (words.length === 0) return defaults;
    return words.filter((word) => word.toLowerCase() !== "none").map((word) => fillPath(word, tokens));
  };
  return [
    ...filesOf("userknownhostsfile", [join(homedir(), ".ssh", "known_hosts")]),
    ...filesOf("globalknownhostsfile", ["/etc/ssh/ssh_known_hosts"]),
  ];
}

/** What StrictHostKeyChecking says; where nobody can be asked, asking is refusing. */
export function policyOf(options: SshOptions, defaultHostKeyPolicy: HostKeyPolicy): HostKeyPolicy {
  switch (options.first("stricthostkeychecking")?.toLowerCase()) {
    case "yes":
    case "true":
      return "strict";
    case "accept-new":
      return "accept-new";
    case "no":
    case "false":
    case "off":
      return "off";
    case "ask":
      return defaultHostKeyPolicy === "ask" ? "ask" : "strict";
    default:
      return defaultHostKeyPolicy;
  }
}
