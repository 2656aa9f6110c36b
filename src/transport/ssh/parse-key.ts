import { createPrivateKey, type KeyObject } from "node:crypto";
import ssh2, { type ParsedKey } from "ssh2";

/** Reads a key in OpenSSH's format, PEM or PKCS#8 (RFC 5958), as ssh-keygen writes them; an Error says why it cannot. */
export function parseKey(content: Buffer, passphrase?: string): ParsedKey | Error {
  const kind = /^-----BEGIN (ENCRYPTED )?PRIVATE KEY-----/m.exec(content.toString("latin1"));
  if (kind !== null) return parsePkcs8(content, kind[1] !== undefined, passphrase);
  return single(() => ssh2.utils.parseKey(content, passphrase));
}

const MAGIC = "openssh-key-v1\0";

/**
 * The public half of an encrypted key in OpenSSH's format, which holds it in clear (PROTOCOL.key); undefined for other
 * formats.
 */
export function parsePublicHalf(content: Buffer): ParsedKey | undefined {
  const [, base64] =
    /^-----BEGIN OPENSSH PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+?)-----END OPENSSH PRIVATE KEY-----/m.exec(
      content.toString("latin1"),
    ) ?? [];
  const bytes = Buffer.from(base64 ?? "", "base64");
  if (bytes.toString("latin1", 0, MAGIC.length) !== MAGIC) return undefined;
  try {
    let at = MAGIC.length;
    const string = (): Buffer => {
      const start = at + 4;
      at = start + bytes.readUInt32BE(at);
      return bytes.subarray(start, at);
    };
    // The cipher, how the passphrase makes a key for it, and that one's options.
    for (let part = 0; part < 3; part++) string();
    at += 4;
    const blob = string();
    const type = blob.toString("latin1", 4, 4 + blob.readUInt32BE(0));
    const parsed = single(() => ssh2.utils.parseKey(`${type} ${blob.toString("base64")}`));
    return parsed instanceof Error ? undefined : parsed;
  } catch {
    return undefined;
  }
}

/** ssh2 does not read it: it is given the same key in the PEM that it does read. */
function parsePkcs8(
  content: Buffer,
  isEncrypted: boolean,
  passphrase: string | undefined,
): ParsedKey | Error {
  if (isEncrypted && passphrase === undefined) return new Error("it is encrypted");
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: content, ...(isEncrypted ? { passphrase } : {}) });
  } catch (thrown) {
    return thrown as Error;
  }
  const { asymmetricKeyType: type } = key;
  if (type === "rsa") return single(() => ssh2.utils.parseKey(key.export({ type: "pkcs1", format: "pem" })));
  if (type === "ec") return single(() => ssh2.utils.parseKey(key.export({ type: "sec1", format: "pem" })));
  return new Error("ssh2 reads no such key in PKCS#8: write it anew with ssh-keygen -p -m RFC4716");
}

function single(parse: () => ParsedKey | readonly ParsedKey[] | Error): ParsedKey | Error {
  let parsed: ParsedKey | readonly ParsedKey[] | Error | undefined;
  try {
    parsed = parse();
  } catch (thrown) {
    // A damaged key makes it read beyond the end.
    return new Error("it is damaged", { cause: thrown });
  }
  // Of a file that says it holds none, ssh2 gives neither a key nor an error.
  const first = Array.isArray(parsed)
    ? (parsed as readonly ParsedKey[])[0]
    : (parsed as ParsedKey | Error | undefined);
  return first ?? new Error("it holds no key");
}
