import { createPublicKey, type KeyObject } from "node:crypto";
import { VolleyError } from "../../core/errors.ts";

const field = (bytes: Uint8Array): Buffer => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};
const bytesOf = (text: string | undefined): Buffer => Buffer.from(text ?? "", "base64url");
/** A number that is not below 0. */
const number = (text: string | undefined): Buffer => {
  const bytes = bytesOf(text);
  return field(bytes[0]! >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
};
const CURVES: Readonly<Record<string, string>> = {
  "P-256": "nistp256",
  "P-384": "nistp384",
  "P-521": "nistp521",
};

/** Write a key's public part as OpenSSH does (RFC 4253, RFC 5656, RFC 8709). Fails with `ACTION_FAILED`. */
export function sshText(key: KeyObject): string {
  const {
    kty,
    n,
    e,
    crv = "",
    x,
    y,
  } = (key.type === "private" ? createPublicKey(key) : key).export({ format: "jwk" });
  const curve = CURVES[crv];
  const write = (type: string, ...parts: readonly Buffer[]): string =>
    `${type} ${Buffer.concat([field(Buffer.from(type)), ...parts]).toString("base64")}`;
  if (kty === "RSA") return write("ssh-rsa", number(e), number(n));
  if (kty === "OKP" && crv === "Ed25519") return write("ssh-ed25519", field(bytesOf(x)));
  if (kty === "EC" && curve !== undefined)
    return write(
      `ecdsa-sha2-${curve}`,
      field(Buffer.from(curve)),
      field(Buffer.concat([Buffer.from([4]), bytesOf(x), bytesOf(y)])),
    );
  throw new VolleyError("ACTION_FAILED", "OpenSSH has no form for a key of this kind");
}
