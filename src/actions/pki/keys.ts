import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from "node:crypto";
import { messageOf, VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { bits, type DerNode, NULL, oid, sequence, within } from "./der.ts";

/** Read a private key. Fails with `ACTION_FAILED`. */
export function readKey(text: string, passphrase: string | undefined, what: string): KeyObject {
  try {
    return createPrivateKey({
      key: text,
      format: "pem",
      ...(passphrase === undefined ? {} : { passphrase }),
    });
  } catch (thrown) {
    throw new VolleyError("ACTION_FAILED", `${what} cannot be read as a private key: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}

/** The private key that parameters name; null for a file that is not there. */
export async function keyOf(
  { path, content, passphrase }: KeySource,
  system: ReadSystem,
): Promise<KeyObject | null> {
  if (content !== undefined) return readKey(content, passphrase, "the content of the private key");
  const bytes = await system.readIfExists(path ?? "");
  return bytes === null ? null : readKey(bytesToText(bytes), passphrase, path!);
}

export interface KeySource {
  readonly path: string | undefined;
  readonly content: string | undefined;
  readonly passphrase: string | undefined;
}

/** Return the public key of a key as DER: SubjectPublicKeyInfo. */
export function publicDer(key: KeyObject): Buffer {
  return (key.type === "private" ? createPublicKey(key) : key).export({ type: "spki", format: "der" });
}

/** Hash names of Python and of OpenSSL. */
const HASHES = [
  ["md5"],
  ["sha1"],
  ["sha224"],
  ["sha256"],
  ["sha384"],
  ["sha512"],
  ["blake2b", "blake2b512"],
  ["blake2s", "blake2s256"],
  ["sha3_224", "sha3-224"],
  ["sha3_256", "sha3-256"],
  ["sha3_384", "sha3-384"],
  ["sha3_512", "sha3-512"],
] as const;

/** The fingerprints of a public key, by the names of the hashes. */
export function fingerprints(key: KeyObject): Readonly<Record<string, string>> {
  const bytes = publicDer(key);
  return Object.fromEntries(
    HASHES.map(([name, own = name]) => [
      name,
      (createHash(own).update(bytes).digest("hex").match(/../g) ?? []).join(":"),
    ]),
  );
}

/** The identifier of a key by RFC 5280, 4.2.1.2: the SHA-1 of its bits. */
export function keyIdentifier(spki: Buffer): Buffer {
  const [, bitString] = within(readOne(spki));
  return createHash("sha1").update(bitString!.content.subarray(1)).digest();
}

const readOne = (whole: Buffer): DerNode => within({ tag: 0, content: whole, whole })[0]!;

const RSA: Readonly<Record<string, string>> = {
  sha1: "1.2.840.113549.1.1.5",
  sha224: "1.2.840.113549.1.1.14",
  sha256: "1.2.840.113549.1.1.11",
  sha384: "1.2.840.113549.1.1.12",
  sha512: "1.2.840.113549.1.1.13",
};
const EC: Readonly<Record<string, string>> = {
  sha1: "1.2.840.10045.4.1",
  sha224: "1.2.840.10045.4.3.1",
  sha256: "1.2.840.10045.4.3.2",
  sha384: "1.2.840.10045.4.3.3",
  sha512: "1.2.840.10045.4.3.4",
};
const DSA: Readonly<Record<string, string>> = {
  sha1: "1.2.840.10040.4.3",
  sha224: "2.16.840.1.101.3.4.3.1",
  sha256: "2.16.840.1.101.3.4.3.2",
};
const OWN: Readonly<Record<string, string>> = { ed25519: "1.3.101.112", ed448: "1.3.101.113" };

/** The algorithm by which a key signs: its DER, and the digest; null for keys that have their own. */
export function algorithmOf(
  key: KeyObject,
  digest: string,
): readonly [algorithm: Buffer, hash: string | null] {
  const kind = key.asymmetricKeyType ?? "";
  const own = OWN[kind];
  if (own !== undefined) return [sequence(oid(own)), null];
  const name = digest.toLowerCase().replace(/[-_]/g, "");
  const kinds: Readonly<Record<string, Readonly<Record<string, string>>>> = { rsa: RSA, ec: EC, dsa: DSA };
  const id = kinds[kind]?.[name];
  if (id === undefined)
    throw new VolleyError("ACTION_FAILED", `a key of the kind ${kind} cannot sign with ${digest}`);
  return [sequence(oid(id), ...(kind === "rsa" ? [NULL] : [])), name];
}

/** Sign what a request or certificate says: its DER with algorithm and signature. */
export function signed(body: Buffer, key: KeyObject, digest: string): Buffer {
  const [algorithm, hash] = algorithmOf(key, digest);
  return sequence(body, algorithm, bits(signBytes(hash, body, key)));
}

/** Tell whether the signature of a request or certificate is that of a public key. */
export function isSignedBy(whole: DerNode, key: KeyObject): boolean {
  const [body, algorithm, signature] = within(whole);
  const [id] = within(algorithm);
  const known = [RSA, EC, DSA].flatMap(Object.entries).find(([, dotted]) => oid(dotted).equals(id!.whole));
  const kind = key.asymmetricKeyType ?? "";
  if (known === undefined && OWN[kind] === undefined) return false;
  try {
    return verifyBytes(known?.[0] ?? null, body!.whole, key, signature!.content.subarray(1));
  } catch {
    return false;
  }
}
