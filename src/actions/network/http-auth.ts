import { createHash, randomBytes } from "node:crypto";
import type { ReadSystem } from "../../core/system.ts";

/** A user name and password. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** Return the value of an `Authorization` header for the scheme Basic (RFC 7617). */
export function basicAuthorization({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

const PARAMETER = /([a-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/gi;

/** Node's names of the hashes of RFC 7616. */
const HASHES: Readonly<Record<string, string>> = {
  MD5: "md5",
  "SHA-256": "sha256",
  "SHA-512-256": "sha512-256",
};

/**
 * Answer the challenge of a `WWW-Authenticate` header: Digest (RFC 7616, without `auth-int`), else Basic; undefined for
 * other schemes. `path` is the request's target with its query.
 */
export function answerChallenge(
  challenge: string,
  credentials: Credentials,
  { method, path }: { readonly method: string; readonly path: string },
): string | undefined {
  const digest = /(?:^|,)\s*digest\s+(.*)$/is.exec(challenge)?.[1];
  const answer = digest === undefined ? undefined : answerDigest(digest, credentials, method, path);
  if (answer !== undefined) return answer;
  return /(?:^|,)\s*basic\b/i.test(challenge) || challenge === ""
    ? basicAuthorization(credentials)
    : undefined;
}

function answerDigest(
  challenge: string,
  { username, password }: Credentials,
  method: string,
  path: string,
): string | undefined {
  const given = new Map<string, string>();
  for (const [, name, quoted, plain] of challenge.matchAll(PARAMETER)) {
    const key = name!.toLowerCase();
    if (!given.has(key)) given.set(key, quoted?.replace(/\\(.)/g, "$1") ?? plain!);
  }
  const algorithm = given.get("algorithm") ?? "MD5";
  const isSession = /-sess$/i.test(algorithm);
  const hash = HASHES[algorithm.replace(/-sess$/i, "").toUpperCase()];
  const [realm, nonce] = [given.get("realm"), given.get("nonce")];
  if (hash === undefined || realm === undefined || nonce === undefined) return undefined;
  const digest = (text: string): string => createHash(hash).update(text).digest("hex");
  const qops = given
    .get("qop")
    ?.split(",")
    .map((word) => word.trim());
  if (qops !== undefined && !qops.includes("auth")) return undefined;
  const cnonce = randomBytes(8).toString("hex");
  const count = "00000001";
  const secret = digest(`${username}:${realm}:${password}`);
  const first = isSession ? digest(`${secret}:${nonce}:${cnonce}`) : secret;
  const second = digest(`${method}:${path}`);
  const middle = qops === undefined ? nonce : `${nonce}:${count}:${cnonce}:auth`;
  const quote = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`;
  const opaque = given.get("opaque");
  return `Digest ${[
    `username=${quote(username)}`,
    `realm=${quote(realm)}`,
    `nonce=${quote(nonce)}`,
    `uri=${quote(path)}`,
    `response="${digest(`${first}:${middle}:${second}`)}"`,
    `algorithm=${algorithm}`,
    ...(opaque === undefined ? [] : [`opaque=${quote(opaque)}`]),
    ...(qops === undefined ? [] : ["qop=auth", `nc=${count}`, `cnonce="${cnonce}"`]),
  ].join(", ")}`;
}

/** Find a host's credentials in the user's netrc(5) file, with those of `default` after all others; undefined without any. */
export async function readNetrc(system: ReadSystem, host: string): Promise<Credentials | undefined> {
  const text = (await system.readIfExists("~/.netrc"))?.toString("utf8") ?? "";
  // A macro goes on to the next empty line.
  const words =
    text.replace(/^\s*macdef\b[\s\S]*?(?:\n\s*\n|$(?![\s\S]))/gm, "").match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
  const entries: { host: string | null; login?: string; password?: string }[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    const value = (): string => (words[++at] ?? "").replace(/^"(.*)"$/s, "$1").replace(/\\(.)/g, "$1");
    const entry = entries.at(-1);
    if (word === "machine") entries.push({ host: value() });
    else if (word === "default") entries.push({ host: null });
    else if (word === "login" && entry !== undefined) entry.login = value();
    else if (word === "password" && entry !== undefined) entry.password = value();
    else if (word === "account") value();
  }
  const found = entries.find((entry) => entry.host === host) ?? entries.find((entry) => entry.host === null);
  return found === undefined ? undefined : { username: found.login ?? "", password: found.password ?? "" };
}
