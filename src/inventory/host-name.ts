import { type SourceLocation, VolleyError } from "../core/errors.ts";
import { printable } from "../core/text.ts";
import { isIpv6 } from "./ip-address.ts";
import { expandRanges } from "./range.ts";

const HOST = /^[\p{L}\p{N}_][\p{L}\p{N}_.+-]*$/u;
const GROUP = /^[\p{L}\p{N}_][\p{L}\p{N}_.+-]*$/u;

/** The longest name of a host or group: no name of the DNS is longer (RFC 1035), nor any file in host_vars. */
const MAX_NAME = 255;

/** Names with the port that was written behind them, if any. */
export interface WrittenHosts {
  readonly names: readonly string[];
  readonly port: number | undefined;
}

function splitPort(text: string): readonly [name: string, port: string | undefined] {
  if (isIpv6(text)) return [text, undefined];
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text);
  if (bracketed !== null && isIpv6(bracketed[1]!)) return [bracketed[1]!, bracketed[2]];
  // A colon inside brackets belongs to a range.
  const match = /^((?:[^:[\]]|\[[^\]]*\])+):(\d+)$/.exec(text);
  return match === null ? [text, undefined] : [match[1]!, match[2]];
}

/** A list on the command line has no lines, and no place for vars. */
function describeProblem(name: string, { line }: SourceLocation): string {
  if (name.includes("@"))
    return `it holds a user; ${line === undefined ? "give the user with -u" : "set ansible_user instead"}`;
  if (/\s/.test(name)) return "it holds a space";
  if (name.includes("/")) return "it holds a slash";
  if (name.includes("=")) return "it looks like a var; vars of a group stand in [group:vars]";
  if (name === "") return "it is empty";
  if (name.length > MAX_NAME) return `it is longer than ${MAX_NAME} characters`;
  return "a name is letters, digits, dots, dashes and underscores, and begins with a letter or digit";
}

/**
 * The hosts that one written name stands for: `web1`, `web1:2222`, `web[01:20]`, `2001:db8::1`, `[2001:db8::1]:22`.
 * Fails with `INVENTORY_INVALID`.
 */
export function parseHostName(text: string, location: SourceLocation): WrittenHosts {
  const fail = (problem: string): never => {
    throw new VolleyError(
      "INVENTORY_INVALID",
      `"${printable(text, MAX_NAME)}" is not a host name: ${printable(problem)}`,
      { location },
    );
  };
  const [written, portText] = splitPort(text);
  const names = isIpv6(written) ? [written] : expandRanges(written, fail);
  for (const name of names)
    if (name.length > MAX_NAME || (!HOST.test(name) && !isIpv6(name))) fail(describeProblem(name, location));
  const port = portText === undefined ? undefined : Number(portText);
  if (port !== undefined && (port < 1 || port > 65_535)) fail(`port ${port} is not between 1 and 65535`);
  return { names, port };
}

/** Refuses group names that patterns could not name. Fails with `INVENTORY_INVALID`. */
export function checkGroupName(name: string, location: SourceLocation): void {
  if (GROUP.test(name) && name.length <= MAX_NAME) return;
  throw new VolleyError(
    "INVENTORY_INVALID",
    `"${printable(name, MAX_NAME)}" is not a group name: ${name.length > MAX_NAME ? `it is longer than ${MAX_NAME} characters` : "it must be letters, digits, dots, dashes and underscores, and begin with a letter or digit"}`,
    { location },
  );
}
