import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { type SshOptions, saysYes } from "./options.ts";

/** Options that are followed here. */
const FOLLOWED = `certificatefile connecttimeout forwardagent globalknownhostsfile gssapiauthentication hashknownhosts
hostkeyalgorithms hostkeyalias hostname identitiesonly identityagent identityfile pkcs11provider port proxycommand
proxyjump serveralivecountmax serveraliveinterval stricthostkeychecking user userknownhostsfile`;

/** Options that change nothing here: how ssh shares connections, what it prints, what is never asked for. */
const WITHOUT_EFFECT = `addkeystoagent batchmode canonicalizehostname challengeresponseauthentication checkhostip
clearallforwardings compression connectionattempts controlmaster controlpath controlpersist escapechar
exitonforwardfailure forkafterauthentication forwardx11 forwardx11trusted gssapidelegatecredentials ipqos
kbdinteractiveauthentication kbdinteractivedevices logfile loglevel numberofpasswordprompts passwordauthentication
permitlocalcommand preferredauthentications pubkeyacceptedalgorithms pubkeyacceptedkeytypes pubkeyauthentication
rekeylimit requesttty sessiontype stdinnull tcpkeepalive tunnel updatehostkeys visualhostkey`;

const KNOWN = new Set(`${FOLLOWED} ${WITHOUT_EFFECT}`.split(/\s+/));

/** Whether an option that was given on purpose can be followed only by `ssh` itself. */
export function isOnlyForOpenSsh(name: string): boolean {
  return !KNOWN.has(name);
}

/** Looks at files once each: every host of a fleet asks for the same ones. */
export interface KeyFiles {
  exists(path: string): boolean;
  /** Whether a certificate lies next to a private key. */
  hasCertificate(path: string): boolean;
  /** Whether a private key is one of a security key (FIDO). */
  isSecurityKey(path: string): boolean;
}

/** Makes a {@link KeyFiles}. */
export function createKeyFiles(): KeyFiles {
  const known = new Map<string, boolean>();
  const memo = (question: string, path: string, answer: () => boolean): boolean => {
    const key = `${question}:${path}`;
    let value = known.get(key);
    if (value === undefined) {
      value = answer();
      known.set(key, value);
    }
    return value;
  };
  const exists = (path: string): boolean => memo("exists", path, () => existsSync(path));
  return {
    exists,
    hasCertificate: (path) => exists(path) && exists(`${path}-cert.pub`),
    isSecurityKey: (path) => {
      const publicKey = `${path}.pub`;
      return memo("security", path, () => exists(publicKey) && /^sk-/.test(readFileSync(publicKey, "utf8")));
    },
  };
}

const DEFAULT_KEYS = ["id_ed25519", "id_ecdsa", "id_rsa"];
const DEFAULT_SECURITY_KEYS = ["id_ed25519_sk", "id_ecdsa_sk"];

/** The keys ssh tries by itself, whether they are there or not. */
export function defaultKeyFiles(): readonly string[] {
  return DEFAULT_KEYS.map((name) => join(homedir(), ".ssh", name));
}

/** What is asked for that only OpenSSH's own `ssh` can do: a reason for a person, or undefined. */
export function openSshNeeds(
  options: SshOptions,
  keys: readonly string[],
  agent: string | undefined,
  files: KeyFiles,
): string | undefined {
  const provider = options.first("pkcs11provider");
  if (provider !== undefined && provider !== "none") return "PKCS11Provider is set";
  const certificate = options.first("certificatefile");
  if (certificate !== undefined && certificate !== "none") return "CertificateFile is set";
  const defaults = defaultKeyFiles();
  const certified = (keys.length === 0 ? defaults : keys).find(files.hasCertificate);
  if (certified !== undefined) return `${certified} has a certificate`;
  const security = keys.find(files.isSecurityKey);
  if (security !== undefined) return `${security} is the key of a security device`;
  if (keys.length === 0 && agent === undefined && !defaults.some(files.exists)) {
    const found = DEFAULT_SECURITY_KEYS.map((name) => join(homedir(), ".ssh", name)).find(files.exists);
    if (found !== undefined) return `${found} is the key of a security device`;
  }
  // Debian sets it for everybody: only with a ticket is it meant.
  if (saysYes(options.first("gssapiauthentication")) && hasTicket(files))
    return "GSSAPIAuthentication is set, and there is a Kerberos ticket";
  return undefined;
}

/** Where MIT Kerberos keeps tickets by default (kerberos(7)). */
function hasTicket(files: KeyFiles): boolean {
  const named = process.env.KRB5CCNAME?.replace(/^FILE:/, "");
  if (named !== undefined && named !== "") return !named.startsWith("/") || files.exists(named);
  return files.exists(`/tmp/krb5cc_${process.getuid?.() ?? 0}`);
}
