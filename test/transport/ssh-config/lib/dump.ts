import type { Evaluated } from "../../../../src/transport/ssh-config/evaluate.ts";
import { fillPath, fillTokens, tokensOf } from "../../../../src/transport/ssh-config/options.ts";
import {
  type AlgorithmNames,
  algorithmsOf,
  parseJumps,
} from "../../../../src/transport/ssh-config/values.ts";

/** Lines of `ssh -G` by their first word. */
export type Dump = ReadonlyMap<string, readonly string[]>;

/** Read what `ssh -G` prints. */
export function readDump(text: string): Dump {
  const lines = new Map<string, string[]>();
  for (const line of text.split("\n").filter((each) => each !== "")) {
    const [, name = "", value = ""] = /^(\S+) ?(.*)$/s.exec(line) ?? [];
    lines.set(name.toLowerCase(), [...(lines.get(name.toLowerCase()) ?? []), value]);
  }
  return lines;
}

const ALGORITHM_LISTS = new Set(
  `ciphers macs kexalgorithms hostkeyalgorithms pubkeyacceptedalgorithms casignaturealgorithms
  hostbasedacceptedalgorithms`.split(/\s+/),
);
/** `none` takes these away. */
const CLEARED = new Set(
  `localcommand remotecommand proxycommand controlpath revokedhostkeys pkcs11provider knownhostscommand`.split(
    /\s+/,
  ),
);
const ON_ONE_LINE = new Set(["userknownhostsfile", "globalknownhostsfile"]);

/** Return Volley's result for a host in the form of `ssh -G`, for options that are set. */
export function dumpOf(
  { options, hostName }: Evaluated,
  name: string,
  user: string,
  names: (list: string) => AlgorithmNames,
): Dump {
  const alias = options.first("hostkeyalias")?.toLowerCase();
  const remote = options.first("user") ?? user;
  const port = Number(options.first("port") ?? 22);
  const tokens = tokensOf({ name, host: hostName, port, user: remote, alias });
  const path = (text: string): string => fillPath(text, tokens);
  const lines = new Map<string, readonly string[]>([
    ["user", [remote]],
    ["hostname", [hostName]],
    ["port", [String(port)]],
  ]);
  for (const option of options.names) {
    const all = options.all(option);
    const [first = ""] = all;
    if (lines.has(option) || (CLEARED.has(option) && first.toLowerCase() === "none")) continue;
    if (ALGORITHM_LISTS.has(option)) lines.set(option, [algorithmsOf(first, names(option)).join(",")]);
    else if (option === "userknownhostsfile") lines.set(option, withoutNone(all).map(path));
    else if (option === "globalknownhostsfile") lines.set(option, withoutNone(all));
    else if (option === "remotecommand") lines.set(option, [fillTokens(first, tokens)]);
    else if (option === "controlpath" || option === "identityagent") lines.set(option, [path(first)]);
    else if (option === "forwardagent") lines.set(option, [/^(yes|no)$/.test(first) ? first : path(first)]);
    else if (option === "hostkeyalias") lines.set(option, [alias!]);
    else if (option === "proxyjump") {
      const jumps = parseJumps(first);
      if (jumps.length > 0) lines.set(option, [jumpLine(first)]);
    } else lines.set(option, all);
  }
  for (const option of ON_ONE_LINE) {
    const all = lines.get(option);
    if (all !== undefined) lines.set(option, [all.length === 0 ? "none" : all.join(" ")]);
  }
  return lines;
}

function withoutNone(words: readonly string[]): readonly string[] {
  return words.filter((word) => word.toLowerCase() !== "none");
}

/** The last host apart from the others, in brackets where it is an address. */
function jumpLine(text: string): string {
  const others = text.slice(0, text.lastIndexOf(",") + 1);
  const { host, user, port } = parseJumps(text).at(-1)!;
  const shown = /:|^[\d.]+$/.test(host) ? `[${host}]` : host;
  return `${others}${user === undefined ? "" : `${user}@`}${shown}${port === undefined ? "" : `:${port}`}`;
}
