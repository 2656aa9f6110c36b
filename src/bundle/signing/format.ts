import { VolleyError } from "../../core/errors.ts";

// The signature of a bundle: its place in the file, its armor, and the fields that are checked before ssh-keygen sees it.

/** The namespace of the signatures, as `ssh-keygen -Y sign -n` has it: one made for another purpose is none of a bundle. */
export const NAMESPACE = "volley";

export const BEGIN = "-----BEGIN SSH SIGNATURE-----";
export const END = "-----END SSH SIGNATURE-----";
/** Characters a line, as ssh-keygen writes them. */
export const COLUMNS = 70;

/** Largest size of a signature's armor, in bytes: the end record of a signed bundle is sought no farther from its end. */
export const MAX_ARMOR_BYTES = 16_000;

/** The bytes of a zip's length of its comment, the last of its end record. */
const LENGTH_BYTES = 2;
const END_RECORD = Buffer.from("PK\u0005\u0006", "latin1");
const END_RECORD_BYTES = 22;

const PREAMBLE = Buffer.from("SSHSIG\0\0\0\u0001", "latin1");
const HASHES = new Set(["sha256", "sha512"]);

/** A signed file, taken apart. */
export interface SignedParts {
  /** The signed bytes: all but the zip's comment and the two bytes that give its length. */
  readonly signed: Buffer;
  /** The signature as ssh-keygen reads it. */
  readonly armor: string;
}

/** The bytes of a bundle without a signature that are to be signed. Fails with `BUNDLE_INVALID`. */
export function bytesToSign(bundle: Buffer): Buffer {
  const end = bundle.length - END_RECORD_BYTES;
  if (end < 0 || !bundle.subarray(end, end + 4).equals(END_RECORD) || bundle.readUInt16LE(end + 20) !== 0)
    throw new VolleyError("BUNDLE_INVALID", "only a bundle that has no signature yet can be signed");
  return bundle.subarray(0, -LENGTH_BYTES);
}

/** Put a signature behind the signed bytes. Fails with `SIGNING_FAILED` for one that is too long. */
export function withSignature(signed: Buffer, blob: Buffer): Buffer {
  const comment = commentOf(armorOf(blob));
  if (comment.length > MAX_ARMOR_BYTES)
    throw new VolleyError("SIGNING_FAILED", `the signature has ${comment.length} bytes: it is too long`);
  return Buffer.concat([signed, comment]);
}

/** The length of a zip's comment and the comment: the armor, which begins on a line of its own. */
function commentOf(armor: string): Buffer {
  const comment = Buffer.from(`..\n${armor}`, "latin1");
  comment.writeUInt16LE(comment.length - LENGTH_BYTES);
  return comment;
}

/** Write a signature in the one form that verifiers accept. */
export function armorOf(blob: Buffer): string {
  const lines = blob.toString("base64").match(new RegExp(`.{1,${COLUMNS}}`, "g")) ?? [];
  return `${[BEGIN, ...lines, END].join("\n")}\n`;
}

/** Read a signature from ssh-keygen's armor. Returns undefined where there is none. */
export function dearmor(text: string): Buffer | undefined {
  const from = text.lastIndexOf(`${BEGIN}\n`);
  const to = text.indexOf(END, from);
  if (from < 0 || to < 0) return undefined;
  return Buffer.from(text.slice(from + BEGIN.length, to), "base64");
}

/**
 * Take a signed file apart. Fails with `SIGNATURE_REFUSED` unless the file ends in a signature for bundles, in its one
 * form: base64 can be written in several ways, and OpenSSH passes over the field `reserved` and takes version 0 for 1.
 *
 * @param name The file's name in messages.
 */
export function takeApart(file: Buffer, name: string): SignedParts {
  const blob = dearmor(file.subarray(-MAX_ARMOR_BYTES).toString("latin1"));
  if (blob === undefined) throw new VolleyError("SIGNATURE_REFUSED", `${name} is not signed`);
  const armor = armorOf(blob);
  const comment = commentOf(armor);
  if (!file.subarray(-comment.length).equals(comment)) throw damaged(name);
  const namespace = readNamespace(blob);
  if (namespace === undefined) throw damaged(name);
  if (namespace !== NAMESPACE)
    throw new VolleyError(
      "SIGNATURE_REFUSED",
      `${name} has a signature that was made for something else than Volley's bundles`,
    );
  return { signed: file.subarray(0, -comment.length), armor };
}

function damaged(name: string): VolleyError {
  return new VolleyError("SIGNATURE_REFUSED", `${name} has a damaged signature`);
}

/** Return the namespace of a signature, undefined for a blob that is none. */
export function readNamespace(blob: Buffer): string | undefined {
  return readFields(blob)?.namespace;
}

/** Return the public key or certificate that a signature names, as `authorized_keys` has it; undefined for no signature. */
export function readPublicKey(blob: Buffer): string | undefined {
  const key = readFields(blob)?.publicKey;
  if (key === undefined || key.length < 4) return undefined;
  const type = key.toString("latin1", 4, 4 + key.readUInt32BE(0));
  return `${type} ${key.toString("base64")}`;
}

/**
 * Return fields of a signature, undefined for a blob that is not as OpenSSH's PROTOCOL.sshsig has it: preamble,
 * version 1, then the strings public key, namespace, reserved (empty), hash and signature, and nothing behind.
 */
function readFields(blob: Buffer): { readonly publicKey: Buffer; readonly namespace: string } | undefined {
  if (!blob.subarray(0, PREAMBLE.length).equals(PREAMBLE)) return undefined;
  const fields: Buffer[] = [];
  let at = PREAMBLE.length;
  while (at + 4 <= blob.length) {
    const to = at + 4 + blob.readUInt32BE(at);
    if (to > blob.length) return undefined;
    fields.push(blob.subarray(at + 4, to));
    at = to;
  }
  const [publicKey, namespace, reserved, hash] = fields;
  if (at !== blob.length || fields.length !== 5 || reserved?.length !== 0) return undefined;
  if (!HASHES.has(String(hash))) return undefined;
  return { publicKey: publicKey!, namespace: namespace!.toString("latin1") };
}
