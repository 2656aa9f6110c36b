import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { bytesToSign, dearmor, NAMESPACE, readNamespace, withSignature } from "./format.ts";
import { complaint, type SshKeygenEnd, sshKeygen, withPrivateDirectory } from "./ssh-keygen.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Sign a bundle as `ssh-keygen -Y sign` does, and return the signed file. ssh-keygen asks for a passphrase on the
 * terminal by itself. Fails with `USAGE` for a key that is missing, `SIGNING_FAILED` for one that cannot sign or whose
 * certificate has expired, and `CANCELLED` when ssh-keygen was interrupted.
 *
 * @param bundle A bundle that was built to verify itself, and has no signature.
 * @param key A file with a private key, or with a public key or certificate whose private key lies beside it or is held
 *   by the agent (`SSH_AUTH_SOCK`).
 */
export async function signBundle(bundle: Buffer, key: string): Promise<Buffer> {
  if (!existsSync(key))
    throw new VolleyError("USAGE", `there is no key ${key}`, {
      hint: "name a file with a private key, or a .pub whose private key the agent holds",
    });
  const signed = bytesToSign(bundle);
  await refuseExpired(key);
  return withPrivateDirectory(async (directory) => {
    // Only the call without a standard input may ask for a passphrase.
    const file = join(directory, "bundle");
    writeFileSync(file, signed, { mode: 0o600, flag: "wx" });
    // Ctrl-C at the question for the passphrase goes to both processes: the file is removed first.
    const ignore = (): void => {};
    for (const signal of SIGNALS) process.on(signal, ignore);
    try {
      const end = await sshKeygen(["-q", "-Y", "sign", "-f", resolve(key), "-n", NAMESPACE, file], {
        input: "inherit",
        showsErrors: isOnDevice(key) && process.stderr.isTTY === true,
      });
      if (end.signal !== null) throw new VolleyError("CANCELLED", "signing was interrupted");
      const blob = end.ok ? dearmor(readFileSync(`${file}.sig`, "latin1")) : undefined;
      if (blob === undefined || readNamespace(blob) !== NAMESPACE) throw cannotSign(key, end, directory);
      return withSignature(signed, blob);
    } finally {
      for (const signal of SIGNALS) process.off(signal, ignore);
    }
  });
}

/** Refuse a certificate that has expired: ssh-keygen signs with it, and verifiers refuse the signature. */
async function refuseExpired(key: string): Promise<void> {
  const certificate = [key, `${key}.pub`].find((path) => /^\S+-cert-v01@openssh\.com /.test(beginOf(path)));
  if (certificate === undefined) return;
  const { stdout } = await sshKeygen(["-L", "-f", resolve(certificate)]);
  // Local time, as Date.parse takes it.
  const [, end] = /^\s*Valid: (?:from \S+ to|before) (\S+)$/m.exec(stdout) ?? [];
  if (end === undefined || Date.parse(end) > Date.now()) return;
  throw new VolleyError("SIGNING_FAILED", `cannot sign with ${key}: the certificate expired at ${end}`, {
    hint: "every verifier would refuse the signature: have the key certified anew",
  });
}

function cannotSign(key: string, end: SshKeygenEnd, directory: string): VolleyError {
  // Without a terminal ssh-keygen takes an empty passphrase.
  const isLocked = /incorrect passphrase/.test(end.stderr);
  const isOpen = /Permissions .* are too open/.test(end.stderr);
  const isAbsent = /No private key found/.test(end.stderr);
  const hint = isLocked
    ? "where there is no terminal to ask at, put the key into the agent with ssh-add, and name its .pub"
    : isOpen
      ? `chmod 600 ${key}`
      : isAbsent
        ? "put it into the agent of SSH_AUTH_SOCK with ssh-add, or name the private key"
        : undefined;
  return new VolleyError(
    "SIGNING_FAILED",
    `cannot sign with ${key}: ${isLocked ? "its passphrase was wrong, or not given" : complaint(end, directory)}`,
    hint === undefined ? {} : { hint },
  );
}

/** True for a key on a security key (FIDO), which may ask to be touched. */
function isOnDevice(key: string): boolean {
  return [key, `${key}.pub`].some((path) => beginOf(path).startsWith("sk-"));
}

/** Return a file's first characters; none for a file that cannot be read. */
function beginOf(path: string): string {
  try {
    return readFileSync(path, "latin1").slice(0, 100);
  } catch {
    return "";
  }
}
