import { VolleyError } from "../../core/errors.ts";
import { printable } from "../../core/text.ts";

/** A host to go through, as ProxyJump names it. */
export interface JumpName {
  readonly host: string;
  readonly user: string | undefined;
  readonly port: number | undefined;
}

/** Reads `[user@]host[:port]` or an `ssh://` URI, several with commas between (ssh_config(5), ProxyJump). Fails with `USAGE`. */
export function parseJumps(text: string): readonly JumpName[] {
  if (text.toLowerCase() === "none") return [];
  return text.split(",").map((part) => parseJump(part.trim()));
}

function parseJump(text: string): JumpName {
  const uri = /^ssh:\/\/(.*?)\/?$/.exec(text)?.[1];
  const bare = uri ?? text;
  // A user name may hold an @.
  const at = bare.lastIndexOf("@");
  const user = at >= 0 ? bare.slice(0, at) : undefined;
  const rest = bare.slice(at + 1);
  const bracketed = /^\[([^\]]+)\](?::(\d*))?$/.exec(rest);
  const plain = /^([^:[\]\s/]+)(?::(\d*))?$/.exec(rest);
  // More colons than one, and no brackets: an IPv6 address without a port.
  const ipv6 = rest.split(":").length > 2 ? /^([\da-f:.]+(?:%\w+)?)$/i.exec(rest) : null;
  const [, host, port = ""] = bracketed ?? plain ?? ipv6 ?? [];
  const isPort = port === "" || (Number(port) >= 1 && Number(port) <= 65_535);
  if (host === undefined || host.startsWith("-") || user === "" || user?.startsWith("-") || !isPort) {
    throw new VolleyError("USAGE", `${printable(JSON.stringify(text), 300)} is not a host to jump through`, {
      hint: "write user@host:port, several with commas between",
    });
  }
  // Of the user in a URI parameters may follow, which ssh passes over.
  const name = uri === undefined || user === undefined ? user : decode(user.replace(/;.*$/, ""));
  return { host, user: name, port: port === "" ? undefined : Number(port) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
