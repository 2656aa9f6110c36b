import { accessSync, constants, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { fileReason } from "../../core/unix/user-file.ts";
import { NAMESPACE, takeApart } from "./format.ts";
import { complaint, type SshKeygenEnd, sshKeygen, withPrivateDirectory } from "./ssh-keygen.ts";
import { REASONS } from "./verify-script.ts";

/** The signer of a bundle. */
export interface Signer {
  /** The name by which the allowed signers know the key. */
  readonly identity: string;
  /** Its type as ssh-keygen says it, such as `ED25519`, `RSA` or `ED25519-CERT`. */
  readonly keyType: string;
  /** `SHA256:` and the hash of the public key; for a certificate, of the key it certifies. */
  readonly fingerprint: string;
}

/** The question whether a bundle is signed. */
export interface VerifyOptions {
  /** The bundle's name in messages. */
  readonly name: string;
  /** A file of allowed signers, as ssh-keygen(1) describes it. */
  readonly allowedSigners: string;
  /** The identity that must have signed. Default: any of the allowed signers. */
  readonly identity?: string;
}

/**
 * Verify that an allowed signer signed a bundle, by ssh-keygen and no byte of the bundle itself. Start what was verified:
 * these bytes, or a file that nobody else can have changed since.
 *
 * Fails with `SIGNATURE_REFUSED` for a file that is not signed, was changed, or whose signer is not allowed or not any
 * more; with `USAGE` when the allowed signers cannot be read; with `SIGNING_FAILED` when there is no ssh-keygen.
 */
export async function verifyBundle(
  bytes: Buffer,
  { name, allowedSigners, identity }: VerifyOptions,
): Promise<Signer> {
  const allowed = readableFile(allowedSigners);
  if (identity === "") throw new VolleyError("USAGE", "the identity of the signer is empty");
  const { signed, armor } = takeApart(bytes, name);
  return withPrivateDirectory(async (directory) => {
    const signature = join(directory, "signature");
    writeFileSync(signature, armor, { mode: 0o600, flag: "wx" });
    const files = ["-f", allowed, "-s", signature];
    let end: SshKeygenEnd | undefined;
    let identities = identity === undefined ? [] : [identity];
    if (identity === undefined) {
      end = await sshKeygen(["-Y", "find-principals", ...files]);
      if (end.ok) identities = end.stdout.split("\n").filter((line) => line !== "");
    }
    for (const one of identities) {
      end = await sshKeygen(["-Y", "verify", "-n", NAMESPACE, "-I", one, ...files], { input: signed });
      const signer = end.ok ? readProof(end.stdout, one) : undefined;
      if (signer !== undefined) return signer;
    }
    throw refusal(name, end, directory);
  });
}

function readableFile(path: string): string {
  try {
    accessSync(path, constants.R_OK);
    if (!statSync(path).isFile()) throw new Error("it is no regular file");
    return resolve(path);
  } catch (thrown) {
    throw new VolleyError("USAGE", `cannot read the allowed signers ${path}: ${fileReason(thrown)}`, {
      hint: "each line has an identity and a public key, as ssh-keygen(1) describes under ALLOWED SIGNERS",
    });
  }
}

/** Read ssh-keygen's words for a signature that is good. */
function readProof(stdout: string, identity: string): Signer | undefined {
  const start = `Good "${NAMESPACE}" signature for ${identity} with `;
  const line = stdout.split("\n").find((one) => one.startsWith(start));
  const [, keyType, fingerprint] = /^(\S+) key (SHA256:\S+)$/.exec(line?.slice(start.length) ?? "") ?? [];
  return keyType === undefined || fingerprint === undefined ? undefined : { identity, keyType, fingerprint };
}

function refusal(name: string, end: SshKeygenEnd | undefined, directory: string): VolleyError {
  const said = end === undefined ? "" : `${end.stderr}${end.stdout}`;
  const known = REASONS.find(([, ...words]) => words.some((some) => said.includes(some)));
  const reason =
    known?.[0] ??
    `is refused: ssh-keygen says: ${end === undefined ? "no signer" : complaint(end, directory)}`;
  return new VolleyError("SIGNATURE_REFUSED", `${name} ${reason}`);
}
